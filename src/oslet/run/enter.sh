# Makes one instance's file system, runs it, and stays as its monitor: pid 1 of a pid namespace that holds the OCI
# runtime and the instance, so that whatever ends this shell ends them all.
#
# It stands in its own mount and pid namespaces, for an ordinary user in a user namespace too. It says "r" on
# descriptor 3 when it wants something done from outside, and goes on when it reads a line from descriptor 4: first its
# ids are mapped, then the instance's own files are written under $place.
#
# Everything varying is a positional argument and never part of the script's text:
#   1 the image's tree  2 the OCI runtime  3 its state folder  4 the instance's id  5 the instance's folder
#   6 options of the tmpfs  7 options of the overlay before its layers  8 "private" where the network is this shell's
#   9 folder of the upper layer, or empty for the tmpfs's own  10… host folders for volumes, in order
place=/sys/fs/cgroup
tree=$1 runtime=$2 state=$3 id=$4 folder=$5 tmpfs=$6 overlay=$7 network=$8 upper=$9
shift 9

say() { echo r >&3; read -r _ <&4 || exit 125; }
fail() { echo "$1" >>"$folder/made"; exit 125; }

say
# A tmpfs over the cgroups hides a hybrid hierarchy, which crun refuses; it is also a place that every machine has,
# that each id can enter, and that nobody keeps a store in.
mount -t tmpfs -o "$tmpfs" oslet "$place" 2>"$folder/made" || fail "a tmpfs can't be mounted on $place"
say
exec 3>&- 4<&-
for list in "$place"/own/*; do
    [ -e "$list" ] || break
    xargs -0 chown -h -- "${list##*/}" <"$list" 2>>"$folder/made" || fail "ownership can't be set"
done
number=0
for volume; do
    mount --rbind -- "$volume" "$place/volumes/$number" 2>>"$folder/made" || fail "$volume can't be mounted"
    number=$((number + 1))
done
if [ "$network" = private ]; then
    # An ordinary user's shell was executed before it had its ids, so that it has root's name without the power; one of
    # its own has both.
    ports=/proc/sys/net/ipv4/ip_unprivileged_port_start
    { echo 0 >$ports; } 2>/dev/null || sh -c 'echo 0 >"$1"' sh $ports 2>>"$folder/made"
fi
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
