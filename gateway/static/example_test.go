package static_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/gowsgi/gowsgi/gateway/static"
)

// A folder beside other routes of a Go program. Under gateway.Server it is a mount: gateway.Mount{Prefix: "/static", Handler: files}.
func Example() {
	dir, err := os.MkdirTemp("", "public-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "site.0123456789ab.css"), []byte("body {}"), 0o644); err != nil {
		log.Fatal(err)
	}

	files, err := static.New(static.Options{Prefix: "/static", Dir: dir})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/static/", files)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "the rest") })

	for _, target := range []string{"/static/site.0123456789ab.css", "/static/.env", "/"} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("GET", target, nil))
		fmt.Println(w.Code, w.Header().Get("Cache-Control"))
	}
	// Output:
	// 200 public, max-age=31536000, immutable
	// 404 no-store
	// 200
}
