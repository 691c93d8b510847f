package watch

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// tooManyInstances says what to do where the kernel gives no more descriptors of inotify.
func tooManyInstances(err error) error {
	if !errors.Is(err, syscall.EMFILE) {
		return fmt.Errorf("files can't be watched: %w", err)
	}
	return fmt.Errorf("files can't be watched: this user's programs use all of inotify's instances, or this process all of its descriptors (%w): end some, or %s",
		err, raise("max_user_instances", 1024))
}

// tooManyWatches says what to do where the kernel watches no more folders.
func tooManyWatches(have int) string {
	return fmt.Sprintf("the kernel watches no more folders: changes are seen in %d of them, and unseen in the rest; %s", have,
		raise("max_user_watches", 1048576))
}

func raise(name string, to int) string {
	now, _ := os.ReadFile("/proc/sys/fs/inotify/" + name)
	return fmt.Sprintf("raise fs.inotify.%s (now %s): sudo sysctl fs.inotify.%s=%d, and write that line into /etc/sysctl.d/60-inotify.conf to keep it",
		name, strings.TrimSpace(string(now)), name, to)
}
