package main

import (
	"os"
	"strings"
	"testing"
)

func TestTheReadmeShowsThisProgram(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(readme), "```go\n")
	shown, _, closed := strings.Cut(rest, "```\n")
	if !ok || !closed || strings.TrimSpace(shown) == "" {
		t.Fatal("README.md has no Go example")
	}
	if !strings.Contains(string(program), shown) {
		t.Errorf("the Go example of README.md is not a part of main.go:\n%s", shown)
	}
}
