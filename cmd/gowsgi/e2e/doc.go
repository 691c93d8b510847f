// Package e2e holds the end-to-end tests of the gowsgi command: a real binary, real CPython, real sockets, and the apps of
// testdata/apps, one tiny app per behaviour.
//
//	go test ./cmd/gowsgi/e2e                             on the newest CPython found
//	cd cmd/gowsgi/e2e && go test -matrix -timeout 90m    on every CPython found, one after the other
//
// The second form has no package on its command line, so that go test shows what was skipped also where all is well.
//
// Variables: GOWSGI_TEST_BINARY is a binary to test instead of one built from this checkout, GOWSGI_TEST_PYTHONS the interpreters to use
// (separated by colons), GOWSGI_TEST_BUNDLED a binary with a CPython of its own, which the matrix adds as its last row. Where
// ASAN_OPTIONS is set the binary is taken for a sanitized one, whose use of memory says nothing. GOWSGI_TEST_DIFFFUZZ, GOWSGI_TEST_SEED and
// GOWSGI_TEST_PEERS are those of difffuzz_test.go.
//
// What gowsgi dev shows is looked at in a headless Chromium: one for all tests, a window for each.
//
// Virtualenvs are made once per Python under build/venvs, with the Flask and Django that frameworks_test.go needs.
//
// A server is started for each app directory when a test first asks for it ([shared]) or for one test alone ([start]). When it stops, the
// harness checks its exit code, that its log has no trace of a crash, and that it left no process behind.
package e2e
