"""Images as machines: a root file system, a first root with the guest's init, a kernel; disks that hold these."""
