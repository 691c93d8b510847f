package gateway

import (
	"errors"
	"fmt"
	"os"
)

// errSpool: the body could not be kept; spool.err says why.
var errSpool = errors.New("gateway: request body could not be spooled")

// errSpoolFull: all bodies use as much of the disk as they may.
var errSpoolFull = errors.New("gateway: no room for a request body")

// spool keeps a request body: in memory up to maxBodyMemory, then in a file that has no name any more. Where bodies use much memory already it
// goes to the file at once.
type spool struct {
	dir   string     // where files are made; "": os.TempDir
	limit int64      // bytes; <= 0: none
	store *bodyStore // what all bodies use; nil: that is not limited
	held  bodyHeld   // of store

	size   int64
	memory *buffer // its first size bytes are the body, unless file is set
	file   *os.File
	err    error
}

func (s *spool) write(p []byte) error {
	size := s.size + int64(len(p))
	if s.limit > 0 && size > s.limit {
		return errBodyTooLarge
	}
	if s.file == nil && size <= maxBodyMemory && s.holdMemory(int(size)) {
		if s.memory == nil {
			s.memory = getBuffer(len(p))
		}
		s.memory = s.memory.grow(int(s.size), int(size))
		copy(s.memory.b[s.size:], p)
		s.size = size
		return nil
	}
	if !s.store.holdFile(&s.held, size) {
		return errSpoolFull
	}
	if s.file == nil {
		if err := s.open(); err != nil {
			s.err = fmt.Errorf("gateway: spooling a request body: %w (is there room, and may we write there?)", err)
			return errSpool
		}
	}
	if _, err := s.file.Write(p); err != nil {
		s.err = fmt.Errorf("gateway: spooling a request body of more than %d bytes in %s: %w", s.size, s.dirName(), err)
		return errSpool
	}
	s.size = size
	return nil
}

// holdMemory takes what the buffer for size bytes has more than the one that is there. False: there is too little.
func (s *spool) holdMemory(size int) bool {
	_, room := bufferSize(size)
	had := 0
	if s.memory != nil {
		had = len(s.memory.b)
	}
	return room <= had || s.store.holdMemory(&s.held, int64(room-had))
}

func (s *spool) dirName() string {
	if s.dir == "" {
		return os.TempDir()
	}
	return s.dir
}

// open makes the file and moves what is in memory there.
func (s *spool) open() error {
	f, err := os.CreateTemp(s.dir, "gowsgi-body-")
	if err != nil {
		return err
	}
	s.file = f
	if err := os.Remove(f.Name()); err != nil {
		return err
	}
	if s.memory != nil {
		if _, err := f.Write(s.memory.b[:s.size]); err != nil {
			return err
		}
		s.memory.put()
		s.memory = nil
	}
	s.store.releaseMemory(&s.held)
	return nil
}

// body is what was written, where it is in memory.
func (s *spool) body() []byte {
	if s.memory == nil {
		return nil
	}
	return s.memory.b[:s.size]
}

// release gives memory and file back.
func (s *spool) release() {
	s.memory.put()
	s.memory = nil
	if s.file != nil {
		_ = s.file.Close()
		s.file = nil
	}
	s.store.release(&s.held)
}
