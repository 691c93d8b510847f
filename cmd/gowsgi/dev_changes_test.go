package main

import (
	"encoding/json"
	"net"
	"testing"
	"time"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/control"
)

func TestAnAnswerThatComesTooLateIsNotTakenForTheNextQuestions(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	w, worker := &workerProcess{control: control.New(ours)}, control.New(theirs)
	answer := func(m control.Message, text string) {
		w.asked.answered(control.Message{Kind: control.Meaning, Code: m.Code, Data: json.RawMessage(text)})
	}
	hear := func() control.Message {
		m, err := worker.Receive()
		if err != nil || m.Kind != control.Changed {
			t.Fatalf("%+v %v", m, err)
		}
		return m
	}
	w.asked.ask(w, []string{"/a.py"}) // and nobody waits for that any more
	first := hear()
	meaning := w.asked.ask(w, nil)
	second := hear()
	if string(first.Data) != `["/a.py"]` || string(second.Data) != `[]` {
		t.Errorf("%s, %s", first.Data, second.Data)
	}
	answer(first, `{}`)
	answer(second, `{"Reload": true}`)
	answer(second, `{}`)
	select {
	case m := <-meaning:
		if !m.Reload {
			t.Errorf("%+v", m)
		}
	case <-time.After(10 * time.Second):
		t.Error("no answer")
	}
}
