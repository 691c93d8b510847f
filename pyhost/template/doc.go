// Package template runs a process that imports WSGI apps once and forks the workers that serve them, so that they share what the import
// made: less memory in all, and a worker that is there at once.
//
// A process that runs Go can't be forked; one that runs CPython can, and has for decades. So the template is this very program, started
// under another name: a C constructor imports the apps before the Go runtime exists, and waits for orders on a socket. A forked worker
// leaves the constructor, its Go runtime starts, and [pyhost.Open] finds the interpreter that runs already. Every program that imports this
// package has the constructor; it acts only under that name and with that socket.
//
// A worker's parent is the process that called Start, not the template, so that it can be waited for. It outlives the template.
package template
