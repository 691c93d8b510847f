// Package privileges gives up root's rights once the addresses are bound.
package privileges

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"syscall"
)

// Identity is whom the server is to run as.
type Identity struct {
	uid, gid int
	groups   []int // supplementary ones, gid among them
	env      []string
}

// Lookup finds the identity of --user and --group, each a name or a number. Without a user it is the current one in another group; without a
// group it is the user's own. A number that the user database does not have is taken for a user only with a group, since the process's own
// group would be root's. The user database may be on the network (NSS), so this can take as long as that does.
func Lookup(userName, groupName string) (*Identity, error) {
	id := &Identity{uid: os.Geteuid(), gid: -1}
	account, err := user.LookupId(strconv.Itoa(id.uid))
	if userName != "" {
		account, err = find(userName, user.Lookup, user.LookupId)
		if errors.Is(err, errUnknown) {
			uid, number := strconv.ParseUint(userName, 10, 31)
			switch {
			case number != nil:
				return nil, fmt.Errorf("--user %s: there is no such user%s", userName, nearest(userName, "/etc/passwd"))
			case groupName == "":
				return nil, fmt.Errorf("--user %s: the user database has no such number, so its group must be given too, with --group", userName)
			}
			id.uid, account, err = int(uid), nil, nil
			id.env = []string{"HOME=/", "USER=" + userName, "LOGNAME=" + userName}
		}
		if err != nil {
			return nil, fmt.Errorf("--user %s: %w", userName, err)
		}
	}
	if account != nil && err == nil {
		if err := id.take(account, userName != ""); err != nil {
			return nil, fmt.Errorf("--user %s: %w", account.Username, err)
		}
	}
	if groupName != "" {
		if err := id.join(groupName); err != nil {
			return nil, err
		}
	}
	if id.gid < 0 {
		id.gid = os.Getegid()
	}
	if !slices.Contains(id.groups, id.gid) {
		id.groups = append(id.groups, id.gid)
	}
	return id, nil
}

// take sets the identity to an account's, with all of its groups.
func (id *Identity) take(account *user.User, named bool) error {
	numbers, err := account.GroupIds()
	if err != nil {
		return err
	}
	if id.groups, err = integers(numbers); err != nil {
		return err
	}
	own, err := integers([]string{account.Uid, account.Gid})
	if err != nil {
		return err
	}
	id.uid, id.gid = own[0], own[1]
	if named {
		id.env = []string{"HOME=" + account.HomeDir, "USER=" + account.Username, "LOGNAME=" + account.Username}
	}
	return nil
}

func (id *Identity) join(name string) error {
	gid, err := GroupID(name)
	if err != nil {
		return fmt.Errorf("--group %w", err)
	}
	id.gid = gid
	return nil
}

func integers(texts []string) ([]int, error) {
	var all []int
	for _, text := range texts {
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, nil
}

// Drop makes the whole process, all its threads, that identity for good: supplementary groups, then the group, then the user, each of them
// real, effective and saved. It does nothing where the process is that identity already. It needs root, or CAP_SETUID and CAP_SETGID.
// After an error the process must end: it may be half of each.
func (id *Identity) Drop() error {
	if id.isCurrent() {
		return nil
	}
	for _, step := range []struct {
		call string
		do   func() error
	}{
		{"setgroups", func() error { return syscall.Setgroups(id.groups) }},
		{"setgid", func() error { return syscall.Setresgid(id.gid, id.gid, id.gid) }},
		{"setuid", func() error { return syscall.Setresuid(id.uid, id.uid, id.uid) }},
	} {
		err := step.do()
		if errors.Is(err, syscall.EPERM) {
			return fmt.Errorf("can't become user %d and group %d: only root can (or CAP_SETUID and CAP_SETGID); "+
				"start gowsgi as root, or without --user and --group", id.uid, id.gid)
		}
		if err != nil {
			return fmt.Errorf("can't become user %d and group %d: %w", id.uid, id.gid, os.NewSyscallError(step.call, err))
		}
	}
	return nil
}

// isCurrent tells whether the process is that identity. A process that is not root can't change its supplementary groups, so that they
// don't count there.
func (id *Identity) isCurrent() bool {
	return id.uid != 0 && id.uid == os.Getuid() && id.uid == os.Geteuid() && id.gid == os.Getgid() && id.gid == os.Getegid()
}

// Environ are HOME, USER and LOGNAME of a user that was named, as systemd sets them: an app would else look for its files in root's folder.
// There are none without --user.
func (id *Identity) Environ() []string { return slices.Clone(id.env) }

// Own gives a file that was made before Drop to the identity: a unix socket that was bound, the log, which is opened again later. A link is
// given away itself, not what it points to.
func (id *Identity) Own(path string) error {
	if id.isCurrent() {
		return nil
	}
	return os.Lchown(path, id.uid, id.gid)
}
