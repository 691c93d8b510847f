package main

import (
	"errors"
	"syscall"
	"testing"
	"time"
)

func TestAConnectionThatCanNotBeServedDoesNotEndTheHandover(t *testing.T) {
	out, in, err := newHandover()
	if err != nil {
		t.Fatal(err)
	}
	h, err := openHandover(out, in)
	if err != nil {
		t.Fatal(err)
	}
	adopted := make(chan struct{}, 2)
	h.start(func(fd int) error {
		_ = syscall.Close(fd)
		adopted <- struct{}{}
		return errors.New("no socket")
	})
	for range 2 {
		h.send(1)
		select {
		case <-adopted:
		case <-time.After(10 * time.Second):
			t.Fatal("nothing is received any more")
		}
	}
	h.stop()
}
