# Makes the file system of one build step, runs it, and stays as its monitor: pid 1 of a pid namespace that holds the OCI
# runtime and the step, so that whatever ends this shell ends them all.
#
# It stands in its own mount and pid namespaces, for an ordinary user in a user namespace too. It says "r" on
# descriptor 3 when it wants something done from outside, and goes on when it reads a line from descriptor 4: first its
# ids are mapped, then the runtime's configuration is written under $place.
#
# Everything varying is a positional argument and never part of the script's text:
#   1 the image's tree  2 the OCI runtime  3 its state folder  4 the step's id  5 the step's folder
#   6 options of the tmpfs  7 options of the overlay before its layers  8 folder of the upper layer, or empty for the
#   tmpfs's own
place=/sys/fs/cgroup
tree=$1 runtime=$2 state=$3 id=$4 folder=$5 tmpfs=$6 overlay=$7 upper=$8

say() { echo r >&3; read -r _ <&4 || exit 125; }
fail() { echo "$1" >>"$folder/made"; exit 125; }

say
# A tmpfs over the cgroups hides a hybrid hierarchy, which crun refuses; it is also a place that every machine has,
# that each id can enter, and that nobody keeps a store in.
mount -t tmpfs -o "$tmpfs" oslet "$place" 2>"$folder/made" || fail "a tmpfs can't be mounted on $place"
say
# Whoever asked for the step has the other end of descriptor 4 for as long as they are there to hear of it.
{ read -r _ <&4; kill -KILL -1; } 3>&- &
exec 3>&- 4<&-
# The tree is named by ".", since a path may hold the colons and commas that separate options.
cd "$tree" || fail "$tree can't be entered"
if [ -n "$upper" ]; then
    mount --bind -- "$upper" "$place/changes" 2>>"$folder/made" || fail "$upper can't be mounted"
fi
mount -t overlay -o "$overlay" oslet "$place/root" 2>>"$folder/made" || fail "an overlay can't be mounted"
cd /
# No keyring of its own: the filter forbids the calls that would use one, and some containers forbid making it.
trap : INT TERM HUP QUIT USR1 USR2
"$runtime" --root "$state" --log "$folder/runtime.log" --log-format json --cgroup-manager=disabled \
    run --no-new-keyring --bundle "$place" "$id"
code=$?
echo "$code" >"$folder/exit"
exit "$code"
