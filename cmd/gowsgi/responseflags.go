package main

import (
	"fmt"
	"os"

	"github.com/gowsgi/gowsgi/gateway"
	"github.com/gowsgi/gowsgi/gateway/static"
)

// responseFlags say what becomes of the apps' responses.
type responseFlags struct {
	Compress      bool           `help:"Compress text, JSON and the like that the apps send, by zstd, Brotli or gzip, as clients ask. A page that has a secret and repeats something of its request can then give the secret away (BREACH)."`
	SendfileRoot  []string       `placeholder:"FOLDER" help:"Send the files of a folder that the apps name in X-Sendfile. Can be repeated."`
	AccelRedirect []staticFolder `placeholder:"PREFIX=FOLDER" help:"Send the files of a folder that the apps name in X-Accel-Redirect, as paths under a prefix that clients don't see. Can be repeated."`
}

// responseSettings are responseFlags as a worker is told them.
type responseSettings struct {
	Compress  bool
	Roots     []string
	Redirects []staticSetting
	Follow    bool
}

// settings checks the flags. dir is the folder that relative ones start in; follow allows symbolic links that lead out of them.
func (f *responseFlags) settings(dir string, follow bool) (responseSettings, error) {
	s := responseSettings{Compress: f.Compress, Follow: follow}
	for _, root := range f.SendfileRoot {
		path, err := folderIn(dir, root)
		if err != nil {
			return s, usageError("--sendfile-root %s: %w", root, err)
		}
		s.Roots = append(s.Roots, path)
	}
	seen := map[string]bool{}
	for _, r := range f.AccelRedirect {
		path, err := folderIn(dir, r.Dir)
		if err != nil {
			return s, usageError("--accel-redirect %s: %w", r, err)
		}
		if seen[r.Prefix] {
			return s, usageError("--accel-redirect %s: another folder is at %s/ too", r, r.Prefix)
		}
		seen[r.Prefix] = true
		s.Redirects = append(s.Redirects, staticSetting{r.Prefix, path})
	}
	return s, nil
}

// folderIn is the path of a folder that is there. A relative one starts in dir.
func folderIn(dir, path string) (string, error) {
	path = pathIn(dir, path)
	if info, err := os.Stat(path); err != nil {
		return "", err
	} else if !info.IsDir() {
		return "", fmt.Errorf("%s is not a folder", path)
	}
	return path, nil
}

// set makes a worker's server do what the flags say.
func (s *responseSettings) set(server *gateway.Server) error {
	server.Compress = s.Compress
	if len(s.Roots)+len(s.Redirects) == 0 {
		return nil
	}
	o := static.SenderOptions{Roots: s.Roots, FollowSymlinks: s.Follow}
	for _, r := range s.Redirects {
		o.Redirects = append(o.Redirects, static.Redirect{Prefix: r.Prefix, Dir: r.Dir})
	}
	var err error
	if server.SendFile, err = static.NewSender(o); err != nil {
		return fmt.Errorf("the folders of --sendfile-root and --accel-redirect: %w", err)
	}
	return nil
}
