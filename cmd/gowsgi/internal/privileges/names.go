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
