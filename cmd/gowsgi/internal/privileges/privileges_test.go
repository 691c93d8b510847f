package privileges

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const childVariable = "PRIVILEGES_TEST_CHILD"

// TestMain runs this program as a server that gives up its rights, where a test asks for it.
func TestMain(m *testing.M) {
	task := os.Getenv(childVariable)
	if task == "" {
		os.Exit(m.Run())
	}
	userName, groupName, _ := strings.Cut(task, ":")
	if err := drop(userName, groupName); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

// drop prints what each thread may do after Drop, and what the process can't do any more.
func drop(userName, groupName string) error {
	id, err := Lookup(userName, groupName)
	if err != nil {
		return err
	}
	// Threads that exist before: goroutines that keep theirs.
	var ready, leave sync.WaitGroup
	leave.Add(1)
	for range 8 {
		ready.Add(1)
		go func() {
			runtime.LockOSThread()
			ready.Done()
			leave.Wait()
		}()
	}
	ready.Wait()
	if err := id.Drop(); err != nil {
		return err
	}
	statuses, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil {
		return err
	}
	lines := map[string]bool{}
	for _, path := range statuses {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(b)) {
			if name, value, _ := strings.Cut(line, ":"); slices.Contains([]string{"Uid", "Gid", "Groups", "CapEff", "CapPrm"}, name) {
				numbers := strings.Fields(value)
				slices.Sort(numbers)
				lines[name+": "+strings.Join(numbers, " ")] = true
			}
		}
	}
	all := []string{}
	for line := range lines {
		all = append(all, line)
	}
	slices.Sort(all)
	fmt.Printf("threads: %t\n%s\n", len(statuses) > 8, strings.Join(all, "\n"))
	fmt.Println("environ:", strings.Join(id.Environ(), " "))
	if err := syscall.Setuid(0); err != nil {
		fmt.Println("back to root:", err)
	}
	leave.Done()
	return nil
}

// run gives what the child printed, as user (a number) or as the tests' own.
func run(t *testing.T, task string, credential *syscall.Credential) string {
	t.Helper()
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), childVariable+"="+task)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	end := time.AfterFunc(60*time.Second, func() { _ = c.Process.Kill() })
	defer end.Stop()
	out, _ := c.CombinedOutput()
	return string(out)
}

func isRoot() bool { return os.Getuid() == 0 }

// somebody is an account that every Linux system has and that is not root.
func somebody(t *testing.T) *user.User {
	t.Helper()
	for _, name := range []string{"www-data", "daemon", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			return u
		}
	}
	t.Fatal("the user database has neither www-data, daemon nor nobody")
	return nil
}

func ids(n string) string { return strings.Join([]string{n, n, n, n}, " ") }

const noCapabilities = "0000000000000000"

func TestAfterDropNoThreadHasAnyRightOfRootLeft(t *testing.T) {
	u := somebody(t)
	if !isRoot() {
		refused(t, run(t, u.Username+":", nil), u)
		return
	}
	groups, err := u.GroupIds()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(groups)
	want := fmt.Sprintf("threads: true\nCapEff: %s\nCapPrm: %s\nGid: %s\nGroups: %s\nUid: %s\nenviron: HOME=%s USER=%s LOGNAME=%s\nback to root: operation not permitted\n",
		noCapabilities, noCapabilities, ids(u.Gid), strings.Join(groups, " "), ids(u.Uid), u.HomeDir, u.Username, u.Username)
	for _, task := range []string{u.Username + ":", u.Uid + ":"} {
		if got := run(t, task, nil); got != want {
			t.Errorf("--user %s\n%s\nexpected\n%s", task, got, want)
		}
	}
}

// refused checks what somebody is told who is not root.
func refused(t *testing.T, got string, u *user.User) {
	t.Helper()
	want := fmt.Sprintf("error: can't become user %s and group %s: only root can (or CAP_SETUID and CAP_SETGID); start gowsgi as root, or without --user and --group\n", u.Uid, u.Gid)
	if got != want {
		t.Errorf("%s\nexpected\n%s", got, want)
	}
}

func TestWhoIsNotRootIsToldWhatItNeeds(t *testing.T) {
	u := somebody(t)
	var credential *syscall.Credential
	if isRoot() {
		credential = &syscall.Credential{Uid: 12345, Gid: 12345}
	}
	refused(t, run(t, u.Username+":", credential), u)
}

func TestWhoIsThatUserAlreadyNeedsNoRoot(t *testing.T) {
	id := fmt.Sprint(os.Getuid())
	group := fmt.Sprint(os.Getgid())
	var credential *syscall.Credential
	if isRoot() {
		id, group = "12345", "12346"
		credential = &syscall.Credential{Uid: 12345, Gid: 12346}
	}
	if got := run(t, id+":"+group, credential); !strings.Contains(got, "Uid: "+ids(id)+"\n") || strings.Contains(got, "error") {
		t.Error(got)
	}
}

func TestAGroupReplacesTheUsersOwn(t *testing.T) {
	u := somebody(t)
	id, err := Lookup(u.Username, "54321")
	if err != nil {
		t.Fatal(err)
	}
	if id.gid != 54321 || !slices.Contains(id.groups, 54321) || strconv.Itoa(id.uid) != u.Uid {
		t.Errorf("%+v", id)
	}
	alone, err := Lookup("", "54321")
	if err != nil {
		t.Fatal(err)
	}
	if alone.gid != 54321 || alone.uid != os.Geteuid() || len(alone.Environ()) > 0 {
		t.Errorf("%+v", alone)
	}
}

func TestANumberWithoutAnAccountNeedsAGroup(t *testing.T) {
	id, err := Lookup("54321", "54322")
	if err != nil {
		t.Fatal(err)
	}
	if id.uid != 54321 || id.gid != 54322 || !slices.Equal(id.groups, []int{54322}) {
		t.Errorf("%+v", id)
	}
	if want := []string{"HOME=/", "USER=54321", "LOGNAME=54321"}; !slices.Equal(id.Environ(), want) {
		t.Errorf("%q", id.Environ())
	}
	_, err = Lookup("54321", "")
	if want := "--user 54321: the user database has no such number, so its group must be given too, with --group"; err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}

func TestAnUnknownNameIsAnErrorThatNamesTheNearest(t *testing.T) {
	u := somebody(t)
	for _, c := range []struct{ user, group, want string }{
		{u.Username + "x", "", "^--user " + u.Username + "x: there is no such user; did you mean " + u.Username + `\?$`},
		{"", "rooot", `^--group rooot: there is no such group; did you mean root\?$`},
		{"qqqqqqqqqqqqqqqqqqqqqqqqqqqq", "", "^--user q+: there is no such user$"},
		{"-1", "", "^--user -1: there is no such user"},
	} {
		if _, err := Lookup(c.user, c.group); err == nil || !regexp.MustCompile(c.want).MatchString(err.Error()) {
			t.Errorf("%q, %q: %v, expected %s", c.user, c.group, err, c.want)
		}
	}
}

func TestASocketThatRootBoundIsTheUsers(t *testing.T) {
	if !isRoot() {
		id, err := Lookup("54321", "54322")
		if err != nil {
			t.Fatal(err)
		}
		if err := id.Own(t.TempDir()); err == nil {
			t.Error("somebody else's file was given away")
		}
		return
	}
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	id, err := Lookup("54321", "54322")
	if err != nil {
		t.Fatal(err)
	}
	if err := id.Own(path); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if s := st.Sys().(*syscall.Stat_t); s.Uid != 54321 || s.Gid != 54322 {
		t.Errorf("it belongs to %d:%d", s.Uid, s.Gid)
	}
}

func TestTheUmaskAppliesToASocket(t *testing.T) {
	before := syscall.Umask(0o022)
	syscall.Umask(before)
	defer syscall.Umask(before)
	for text, mode := range map[string]os.FileMode{"0077": 0o700, "7": 0o770, "000": 0o777} {
		var u Umask
		if err := u.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		u.Set()
		path := filepath.Join(t.TempDir(), "s")
		ln, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		if st, err := os.Stat(path); err != nil || st.Mode().Perm() != mode {
			t.Errorf("umask %s: %v, %v, expected %v", text, st.Mode(), err, mode)
		}
		ln.Close()
	}
}

func TestAUmaskIsOctal(t *testing.T) {
	for _, text := range []string{"", "8", "1000", "-1", "0x1f", "u=rwx"} {
		var u Umask
		if err := u.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
	var u Umask
	if text, err := u.MarshalText(); err != nil || len(text) > 0 {
		t.Errorf("%q, %v", text, err)
	}
	if err := u.UnmarshalText([]byte("0027")); err != nil {
		t.Fatal(err)
	}
	if text, err := u.MarshalText(); err != nil || string(text) != "027" {
		t.Errorf("%q, %v", text, err)
	}
}
