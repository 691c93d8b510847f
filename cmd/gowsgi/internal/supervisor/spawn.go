package supervisor

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// spawn is a worker that is being started: a template that is to fork may take its time, and the pool has other things to do.
type spawn struct {
	number     int
	generation int
	unwanted   bool // is ended when it is there
}

func (p *Pool) start() {
	s := &spawn{number: p.freeNumber(), generation: p.generation}
	p.spawns = append(p.spawns, s)
	go func() {
		w, err := p.o.Start(s.number)
		if !p.event(func() { p.started(s, w, err) }) && err == nil {
			w.Kill()
		}
	}()
}

func (p *Pool) started(s *spawn, w Process, err error) {
	p.spawns = slices.DeleteFunc(p.spawns, func(o *spawn) bool { return o == s })
	switch {
	case err == nil && s.unwanted:
		w.Kill()
	case err == nil:
		m := &member{Process: w, number: s.number, generation: s.generation, since: time.Now()}
		p.members = append(p.members, m)
		p.watch(m)
	case s.unwanted:
	case errors.Is(err, ErrNotNow):
		p.notBefore = time.Now().Add(firstBackoff)
	default:
		p.fail(s.generation, fmt.Errorf("worker %d can't be started: %w", s.number, err))
	}
}
