package privileges

import (
	"fmt"
	"strconv"
	"syscall"
)

// Umask are the permissions that new files do not get, unix sockets among them: it has to be set before those are bound. nil: the inherited
// one stays.
type Umask struct{ mask *int }

// UnmarshalText implements [encoding.TextUnmarshaler]: octal digits, as for the shell's umask.
func (u *Umask) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 8, 32)
	if err != nil || n > 0o777 {
		return fmt.Errorf("%q is no umask: octal digits from 0 to 777, such as 027", text)
	}
	mask := int(n)
	u.mask = &mask
	return nil
}

// MarshalText implements [encoding.TextMarshaler]; empty where none is set.
func (u Umask) MarshalText() ([]byte, error) {
	if u.mask == nil {
		return nil, nil
	}
	return fmt.Appendf(nil, "%03o", *u.mask), nil
}

// Set sets it for this process and what it starts.
func (u Umask) Set() {
	if u.mask != nil {
		syscall.Umask(*u.mask)
	}
}
