package certs

import (
	"io/fs"
	"syscall"
)

// inode tells files apart.
func inode(st fs.FileInfo) [2]uint64 {
	if s, ok := st.Sys().(*syscall.Stat_t); ok {
		return [2]uint64{s.Dev, s.Ino}
	}
	return [2]uint64{}
}
