package reaper

import "sync"

// Children are the processes that this program started and waits for by itself. Its methods can be called from any goroutine.
type Children struct {
	mu       sync.Mutex
	known    sync.Cond // starting fell to 0
	starting int       // calls under way that may make children whose numbers are not yet known
	pids     map[int]struct{}
}

// NewChildren makes an empty set.
func NewChildren() *Children {
	c := &Children{pids: map[int]struct{}{}}
	c.known.L = &c.mu
	return c
}

// Start calls start, which starts one child, and takes the number that it returns for one of ours, also where the child has ended by then.
// Orphans wait while start runs.
func (c *Children) Start(start func() (pid int, err error)) error {
	return c.During(func() error {
		pid, err := start()
		if err == nil {
			c.mu.Lock()
			c.pids[pid] = struct{}{}
			c.mu.Unlock()
		}
		return err
	})
}

// During calls f, which starts children and waits for all of them (os/exec's Run and Output), of whatever number. Orphans wait while f runs.
func (c *Children) During(f func() error) error {
	c.mu.Lock()
	c.starting++
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.starting--; c.starting == 0 {
			c.known.Broadcast()
		}
	}()
	return f()
}

// Forget is called once a child has been waited for: its number may now be another's.
func (c *Children) Forget(pid int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pids, pid)
}

// Has tells whether pid is one of ours. It waits while a child is being started.
func (c *Children) Has(pid int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.starting > 0 {
		c.known.Wait()
	}
	_, ok := c.pids[pid]
	return ok
}
