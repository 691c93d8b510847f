package accesslog

import (
	"bytes"
	"io"
)

func countLines(p []byte) int64 { return int64(bytes.Count(p, []byte{'\n'})) }

// PipeLimit is PIPE_BUF: so many bytes are written to a pipe in one piece, whoever else writes into it.
const PipeLimit = 4096

// ToPipe is a writer that hands whole lines to w in pieces of PipeLimit bytes at most. For a log with Options.LineLimit of PipeLimit.
func ToPipe(w io.Writer) io.Writer { return pipeWriter{w} }

type pipeWriter struct{ w io.Writer }

// Write implements [io.Writer].
func (p pipeWriter) Write(lines []byte) (n int, err error) {
	for len(lines) > 0 && err == nil {
		piece := lines
		if len(piece) > PipeLimit {
			piece = piece[:PipeLimit]
			if end := bytes.LastIndexByte(piece, '\n') + 1; end > 0 {
				piece = piece[:end]
			}
		}
		var wrote int
		wrote, err = p.w.Write(piece)
		n, lines = n+wrote, lines[len(piece):]
	}
	return n, err
}

// ToFile is a writer for a file to which several processes append. Where the disk is full in the middle of a line, the rest of it is lost, and
// what follows begins on a line of its own.
func ToFile(w io.Writer) io.Writer { return &fileWriter{w: w} }

type fileWriter struct {
	w      io.Writer
	broken bool
}

// Write implements [io.Writer].
func (f *fileWriter) Write(lines []byte) (n int, err error) {
	if f.broken {
		if _, err = f.w.Write([]byte{'\n'}); err != nil {
			return 0, err
		}
		f.broken = false
	}
	n, err = f.w.Write(lines)
	if err != nil && n > 0 && n <= len(lines) {
		f.broken = lines[n-1] != '\n'
	}
	return n, err
}

// EachLine is a writer that hands the lines to w one by one, without their ends, as syslog wants them.
func EachLine(w io.Writer) io.Writer { return lineWriter{w} }

type lineWriter struct{ w io.Writer }

// Write implements [io.Writer].
func (l lineWriter) Write(lines []byte) (n int, err error) {
	for len(lines) > n {
		end := n + bytes.IndexByte(lines[n:], '\n')
		if _, err := l.w.Write(lines[n:end]); err != nil {
			return n, err
		}
		n = end + 1
	}
	return n, nil
}
