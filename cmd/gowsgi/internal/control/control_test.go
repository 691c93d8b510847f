package control

import (
	"io"
	"net"
	"strings"
	"testing"
)

func pair(t *testing.T) (*Conn, net.Conn) {
	ours, theirs := net.Pipe()
	t.Cleanup(func() {
		_ = ours.Close()
		_ = theirs.Close()
	})
	return New(ours), theirs
}

func TestAMessageWithoutEndIsRefused(t *testing.T) {
	conn, other := pair(t)
	sent := make(chan int64, 1)
	go func() {
		n, _ := io.Copy(other, io.MultiReader(strings.NewReader(`{"Kind":"`), io.LimitReader(letters{}, 4*mostMessage)))
		sent <- n
	}()
	if m, err := conn.Receive(); err == nil {
		t.Fatalf("a message of %d bytes", len(m.Kind))
	}
	_ = conn.Close()
	if n := <-sent; n > mostMessage {
		t.Errorf("%d bytes were read", n)
	}
}

type letters struct{}

func (letters) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

func TestAnyNumberOfMessagesIsReceived(t *testing.T) {
	conn, other := pair(t)
	text := strings.Repeat("a", mostMessage/4)
	go func() {
		sender := New(other)
		for range 6 {
			_ = sender.Send(Message{Kind: Recycle, Text: text})
		}
		_ = other.Close()
	}()
	for n := range 6 {
		if m, err := conn.Receive(); err != nil || m.Text != text {
			t.Fatal(n, len(m.Text), err)
		}
	}
	if _, err := conn.Receive(); err != io.EOF {
		t.Error(err)
	}
}
