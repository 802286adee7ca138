package serial

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
)

// maxBulkBytes bounds one bulk transfer: 64 GiB.
const maxBulkBytes = 64 << 30

// Pattern returns the endless byte stream that the source command sends. It is
// the same in every session, so that a client can compare it.
func Pattern() io.Reader {
	return rand.NewChaCha8([32]byte([]byte("virtualserver serial source seed")))
}

// bulk runs the commands that take over the line: sink, source and cat. It
// reports false for every other command.
func (t *terminal) bulk(line string) (bool, error) {
	words := strings.Fields(line)
	if len(words) == 0 {
		return false, nil
	}
	switch words[0] {
	case "sink", "source":
		if len(words) != 2 {
			t.print("usage: %s BYTES\r\n", words[0])
			return true, nil
		}
	case "cat":
		if len(words) == 1 {
			return true, t.echo()
		}
		if len(words) != 2 {
			t.print("usage: cat [BYTES]\r\n")
			return true, nil
		}
	default:
		return false, nil
	}
	count, err := strconv.ParseInt(words[1], 10, 64)
	if err != nil || count < 0 || count > maxBulkBytes {
		t.print("%s: %q is not a number from 0 to %d\r\n", words[0], words[1], int64(maxBulkBytes))
		return true, nil
	}
	return true, t.transfer(words[0], count)
}

// transfer moves count raw bytes and then prints their SHA-256. No byte is
// special meanwhile, and the first byte after the end of the command line
// counts; a client that sends CR LF must wait for the line "ready".
func (t *terminal) transfer(kind string, count int64) error {
	hash := sha256.New()
	t.print("ready %d\r\n", count)
	if err := t.out.Flush(); err != nil {
		return err
	}
	t.afterReturn = false
	var err error
	switch kind {
	case "sink":
		_, err = io.CopyN(hash, t.in, count)
	case "source":
		_, err = io.CopyN(io.MultiWriter(t.out, hash), Pattern(), count)
	default:
		err = t.mirror(io.LimitReader(t.in, count), count, hash)
	}
	if err != nil {
		return fmt.Errorf("%s of %d bytes: %w", kind, count, err)
	}
	t.print("\r\nsha256 %s\r\n", hex.EncodeToString(hash.Sum(nil)))
	return nil
}

// mirror sends count bytes back as they come.
func (t *terminal) mirror(from io.Reader, count int64, hash io.Writer) error {
	buffer := make([]byte, bufferBytes)
	for count > 0 {
		n, err := from.Read(buffer)
		if n == 0 && err != nil {
			return err
		}
		count -= int64(n)
		_, _ = hash.Write(buffer[:n])
		if _, err := t.out.Write(buffer[:n]); err != nil {
			return err
		}
		if err := t.out.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// echo sends every byte back until an interrupt or end-of-file character.
func (t *terminal) echo() error {
	for {
		b, err := t.readByte()
		if err != nil {
			return err
		}
		switch b {
		case interrupt, endOfFile:
			t.print("\r\n")
			return nil
		case '\r':
			t.print("\r\n")
		default:
			_ = t.out.WriteByte(b)
		}
	}
}
