package watch

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Each editor's way of saving a file: it is told, and nothing else is.
func TestEveryEditorsSaveIsToldAsTheOneFile(t *testing.T) {
	for _, editor := range []struct {
		name string
		save func(t *testing.T, file, text string)
	}{
		{"VS Code and nano write in place", write},
		{"Vim asks, renames and writes anew", func(t *testing.T, file, text string) {
			dir := filepath.Dir(file)
			write(t, filepath.Join(dir, "."+filepath.Base(file)+".swp"), "swap")
			write(t, filepath.Join(dir, "4913"), "")
			must(t, os.Remove(filepath.Join(dir, "4913")))
			must(t, os.Rename(file, file+"~"))
			write(t, file, text)
			must(t, os.Chmod(file, 0o644))
			must(t, os.Remove(file+"~"))
		}},
		{"Emacs locks, renames and writes anew", func(t *testing.T, file, text string) {
			dir, name := filepath.Split(file)
			must(t, os.Symlink("user@host.1:2", dir+".#"+name))
			write(t, dir+"#"+name+"#", text)
			must(t, os.Rename(file, file+"~"))
			write(t, file, text)
			must(t, os.Remove(dir+".#"+name))
			must(t, os.Remove(dir+"#"+name+"#"))
		}},
		{"JetBrains writes beside and exchanges", func(t *testing.T, file, text string) {
			write(t, file+"___jb_tmp___", text)
			must(t, os.Rename(file, file+"___jb_old___"))
			must(t, os.Rename(file+"___jb_tmp___", file))
			must(t, os.Remove(file+"___jb_old___"))
		}},
		{"Kate and others write beside and rename over", func(t *testing.T, file, text string) {
			write(t, file+".aBcDeF", text)
			must(t, os.Rename(file+".aBcDeF", file))
		}},
		{"delete and recreate", func(t *testing.T, file, text string) {
			must(t, os.Remove(file))
			write(t, file, text)
		}},
		{"sed -i", func(t *testing.T, file, text string) { run(t, "", "sed", "-i", "s/.*/"+text+"/", file) }},
		{"Vim itself", vim("")},
		{"Vim itself, backupcopy=no", vim("set backupcopy=no")},
		{"Vim itself, backupcopy=yes and backups", vim("set backupcopy=yes backup")},
	} {
		t.Run(editor.name, func(t *testing.T) {
			t.Parallel()
			dir := project(t, "blog/views.py")
			file := filepath.Join(dir, "blog/views.py")
			w := start(t, dir)
			for i := range 3 {
				text := fmt.Sprintf("text%d", i)
				release := hold(w)
				editor.save(t, file, text)
				release()
				onlyThese(t, w, dir, file)
				if b, err := os.ReadFile(file); err != nil || string(b) != text && string(b) != text+"\n" {
					t.Errorf("told of %q, %v", b, err)
				}
			}
		})
	}
}

func vim(settings string) func(*testing.T, string, string) {
	return func(t *testing.T, file, text string) {
		if _, err := exec.LookPath("vim"); err != nil {
			t.Skip("there is no vim on this machine")
		}
		run(t, "", "vim", "-u", "NONE", "-i", "NONE", "-e", "-s", "-c", settings, "-c", "%s/.*/"+text+"/", "-c", "wq", file)
	}
}

func run(t *testing.T, dir, program string, args ...string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", program, args, err, out)
	}
}
