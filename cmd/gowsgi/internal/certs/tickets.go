package certs

import (
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"
)

// Tickets are where the keys of session tickets come from, so that a client can resume its session with any process that has them. Each
// day's secret is made of the one before, and cannot be made of a later one: who takes it can't read older sessions, but for those of the
// day before.
type Tickets struct {
	Day            int64
	Secret, Before [32]byte // of that day and the one before
}

// newTickets makes the first secret.
func newTickets() Tickets {
	t := Tickets{Day: dayOf(time.Now())}
	_, _ = rand.Read(t.Secret[:]) // never fails: see its documentation
	_, _ = rand.Read(t.Before[:])
	return t
}

// Advance forgets the secrets of days that are over.
func (t *Tickets) Advance(now time.Time) {
	for day := dayOf(now); t.Day < day; t.Day++ {
		t.Before, t.Secret = t.Secret, derive(t.Secret, "next day")
	}
}

// Keys are those for crypto/tls: today's, which new tickets are made with, and yesterday's.
func (t *Tickets) Keys(now time.Time) [][32]byte {
	t.Advance(now)
	return [][32]byte{derive(t.Secret, "ticket"), derive(t.Before, "ticket")}
}

// TicketKeeper hands out tickets to processes that start. Any goroutine may use it.
type TicketKeeper struct {
	mu      sync.Mutex
	made    bool
	tickets Tickets
}

// Now is what a process that starts now is to have.
func (k *TicketKeeper) Now() Tickets {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.made {
		k.made, k.tickets = true, newTickets()
	}
	k.tickets.Advance(time.Now())
	return k.tickets
}

func derive(secret [32]byte, what string) [32]byte {
	return sha256.Sum256(append([]byte(what+"\x00"), secret[:]...))
}

func dayOf(t time.Time) int64 { return t.Unix() / int64((24 * time.Hour).Seconds()) }
