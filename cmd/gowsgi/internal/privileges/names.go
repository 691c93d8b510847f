package privileges

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"

	"github.com/agext/levenshtein"
)

var errUnknown = errors.New("not in the user database")

// find looks a user or group up by name, then by number.
func find[T any](text string, byName, byNumber func(string) (T, error)) (T, error) {
	found, err := byName(text)
	if _, number := strconv.ParseUint(text, 10, 31); isUnknown(err) && number == nil {
		found, err = byNumber(text)
	}
	if isUnknown(err) {
		err = errUnknown
	}
	return found, err
}

func isUnknown(err error) bool {
	var noUser user.UnknownUserError
	var noUserID user.UnknownUserIdError
	var noGroup user.UnknownGroupError
	var noGroupID user.UnknownGroupIdError
	return errors.As(err, &noUser) || errors.As(err, &noUserID) || errors.As(err, &noGroup) || errors.As(err, &noGroupID)
}

// nearest gives "; did you mean NAME?" for the most similar name in a file such as /etc/passwd, or nothing.
func nearest(name, file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	const similar = 0.6
	best, found := similar, ""
	for line := range strings.Lines(string(b)) {
		candidate, _, ok := strings.Cut(line, ":")
		if s := levenshtein.Similarity(name, candidate, nil); ok && s > best {
			best, found = s, candidate
		}
	}
	if found == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", found)
}

// UserID is the number of a user, by name or number. Errors begin with the name.
func UserID(name string) (int, error) {
	account, err := find(name, user.Lookup, user.LookupId)
	if err != nil {
		return numberOf(name, "user", "/etc/passwd", err)
	}
	return strconv.Atoi(account.Uid)
}

// GroupID is the number of a group, by name or number. Errors begin with the name.
func GroupID(name string) (int, error) {
	group, err := find(name, user.LookupGroup, user.LookupGroupId)
	if err != nil {
		return numberOf(name, "group", "/etc/group", err)
	}
	return strconv.Atoi(group.Gid)
}

// numberOf is a number that the user database does not have.
func numberOf(name, what, file string, err error) (int, error) {
	if !errors.Is(err, errUnknown) {
		return -1, fmt.Errorf("%s: %w", name, err)
	}
	n, err := strconv.ParseUint(name, 10, 31)
	if err != nil {
		return -1, fmt.Errorf("%s: there is no such %s%s", name, what, nearest(name, file))
	}
	return int(n), nil
}
