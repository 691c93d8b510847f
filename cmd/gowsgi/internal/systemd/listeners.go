// Package systemd speaks with the service manager that started the server: sockets that it bound, and notices of what the service does.
// The variables that it passes are taken out of the environment, so that neither workers nor apps see them.
package systemd

import (
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"
)

// Listeners returns the sockets that systemd bound for this process (a .socket unit: LISTEN_FDS, sd_listen_fds(3)), in the unit's order, and
// removes the variables; there are none where it was started in another way. They replace the addresses of --bind. To be called once,
// before anything is started. The descriptors 3 and up that they came as are closed; a unix socket's file is not removed by Close.
func Listeners() ([]net.Listener, error) {
	files := activation.Files(true)
	// Newer versions name the process a second way, which the library leaves in place.
	if err := os.Unsetenv("LISTEN_PIDFDID"); err != nil {
		return nil, err
	}
	var all []net.Listener
	for i, f := range files {
		ln, err := listener(f)
		if err != nil {
			for _, ln := range all {
				ln.Close()
			}
			for _, f := range files[i+1:] {
				f.Close()
			}
			return nil, fmt.Errorf("systemd's socket %q can't be listened on: %w", f.Name(), err)
		}
		all = append(all, ln)
	}
	return all, nil
}

// listener takes f over.
func listener(f *os.File) (net.Listener, error) {
	defer f.Close() // FileListener works on a copy.
	listening, err := syscall.GetsockoptInt(int(f.Fd()), syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN)
	switch {
	case err != nil:
		return nil, os.NewSyscallError("getsockopt", err)
	case listening == 0:
		return nil, fmt.Errorf("it does not listen for connections: the .socket unit needs ListenStream= and Accept=no")
	}
	return net.FileListener(f)
}
