package main

import (
	"fmt"
	"strings"

	"github.com/gowsgi/gowsgi/gateway"
	"github.com/gowsgi/gowsgi/gateway/static"
	"github.com/gowsgi/gowsgi/pyhost"
)

// staticFlags say which files are served without Python.
type staticFlags struct {
	Static               []staticFolder `placeholder:"PREFIX=FOLDER" help:"Serve the files of a folder under a URL prefix, without Python. Can be repeated."`
	StaticFromApp        bool           `help:"Serve the static files of the apps without Python: Django's STATIC_ROOT at STATIC_URL, the static folders of Flask and its blueprints."`
	StaticFollowSymlinks bool           `help:"Serve static files also where a symbolic link leads out of the folder."`
}

// staticFolder is a folder and the URL prefix that its files are under, "" for all paths.
type staticFolder struct{ Prefix, Dir string }

// UnmarshalText implements encoding.TextUnmarshaler: PREFIX=FOLDER.
func (f *staticFolder) UnmarshalText(text []byte) error {
	var m mount
	if err := m.UnmarshalText(text); err != nil {
		return fmt.Errorf("%q is not PREFIX=FOLDER, such as /static=public: the prefix is a URL path that starts with a slash", text)
	}
	*f = staticFolder{m.prefix, m.app}
	return nil
}

func (f staticFolder) String() string {
	if f.Prefix == "" {
		return "/=" + f.Dir
	}
	return f.Prefix + "=" + f.Dir
}

// staticSettings are staticFlags as a worker is told them.
type staticSettings struct {
	Folders         []staticSetting
	FromApp, Follow bool
}

// staticSetting is a staticFolder without the methods of a flag, which would be its form in JSON.
type staticSetting struct{ Prefix, Dir string }

// settings checks the flags against the apps' mounts. dir is the folder that relative ones start in.
func (f *staticFlags) settings(dir string, apps []mount) (staticSettings, error) {
	s := staticSettings{FromApp: f.StaticFromApp, Follow: f.StaticFollowSymlinks}
	taken := map[string]string{}
	for _, m := range apps {
		taken[m.prefix] = "an app"
	}
	for _, folder := range f.Static {
		if by, ok := taken[folder.Prefix]; ok {
			return s, usageError("--static %s: %s is at %s/ too", folder, by, folder.Prefix)
		}
		path, err := folderIn(dir, folder.Dir)
		if err != nil {
			return s, usageError("--static %s: %w", folder, err)
		}
		taken[folder.Prefix] = "another folder"
		s.Folders = append(s.Folders, staticSetting{folder.Prefix, path})
	}
	return s, nil
}

// foundStatic are the folders that are served, and what people should know of those that are not.
type foundStatic struct {
	Folders  []staticSetting
	Problems []string
}

// find adds the folders that the apps have, unless a flag has one at the same prefix. apps are those that host has loaded, in their order.
func (s *staticSettings) find(host *pyhost.Host, apps []appSetting) foundStatic {
	found := foundStatic{Folders: s.Folders}
	if !s.FromApp {
		return found
	}
	taken, isApp := map[string]bool{}, map[string]bool{}
	for _, a := range apps {
		isApp[a.Prefix] = true
	}
	for _, f := range s.Folders {
		taken[f.Prefix] = true
	}
	for i, a := range apps {
		folders, problems := host.StaticFolders(i)
		for _, f := range folders {
			prefix := f.URL
			if !strings.HasPrefix(prefix, "/") {
				prefix = a.Prefix + "/" + prefix
			}
			switch prefix = strings.TrimRight(prefix, "/"); {
			case isApp[prefix]:
				problems = append(problems, fmt.Sprintf("the static files in %s are at %s/, where an app is; they are left to it", f.Dir, prefix))
			case !taken[prefix]:
				taken[prefix] = true
				found.Folders = append(found.Folders, staticSetting{prefix, f.Dir})
			}
		}
		for _, p := range problems {
			found.Problems = append(found.Problems, fmt.Sprintf("--static-from-app, %s: %s", a.Spec, p))
		}
	}
	if len(found.Folders) == len(s.Folders) && len(found.Problems) == 0 {
		found.Problems = []string{"--static-from-app: no static folders were found in the apps; name them with --static PREFIX=FOLDER"}
	}
	return found
}

// mounts are the folders as the server has them.
func (f *foundStatic) mounts(follow, changing bool) (all []gateway.Mount, err error) {
	for _, folder := range f.Folders {
		h, err := static.New(static.Options{Prefix: folder.Prefix, Dir: folder.Dir, FollowSymlinks: follow, Changing: changing})
		if err != nil {
			return nil, fmt.Errorf("static files at %s/: %w", folder.Prefix, err)
		}
		all = append(all, gateway.Mount{Prefix: folder.Prefix, Handler: h})
	}
	return all, nil
}
