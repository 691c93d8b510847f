package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
)

// once makes one request and reads its whole reply: the connection is then an idle keep-alive connection, if the server keeps it.
func (h *holder) once(conn net.Conn) error {
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", h.path, h.addr); err != nil {
		return err
	}
	response, err := http.ReadResponse(bufio.NewReaderSize(conn, 512), nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK || response.Close {
		return fmt.Errorf("status %d, close %t", response.StatusCode, response.Close)
	}
	h.served.Add(1)
	_, err = io.Copy(io.Discard, response.Body)
	return err
}
