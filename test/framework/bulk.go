package framework

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"tensorstack.dev/virtualserver/test/nodeagent/serial"
)

// chunk is the size of the messages that a transfer to the guest is made of, as a person's terminal or scp would make them.
const chunk = 32 << 10

// Receive has the guest send so many bytes, checks each of them by their checksum, and returns how long they took.
func (c *Console) Receive(bytes int64) time.Duration {
	c.e.T.Helper()
	c.Send(fmt.Sprintf("source %d\r", bytes))
	c.Expect(fmt.Sprintf("ready %d\r\n", bytes))
	start := time.Now()
	sum := sha256.New()
	// What came along with the line that was waited for belongs to the transfer.
	received := int64(min(len(c.unread), int(bytes)))
	sum.Write([]byte(c.unread[:received]))
	c.unread = c.unread[received:]
	buffer := make([]byte, chunk)
	for received < bytes {
		_, message, err := c.Connection.NextReader()
		require.NoError(c.e.T, err, "after %d bytes", received)
		n, err := io.CopyBuffer(sum, io.LimitReader(message, bytes-received), buffer)
		require.NoError(c.e.T, err, "after %d bytes", received)
		received += n
		rest, err := io.ReadAll(message)
		require.NoError(c.e.T, err)
		c.unread += string(rest)
	}
	took := time.Since(start)
	c.checkSum(sum.Sum(nil))
	want := sha256.New()
	_, err := io.CopyN(want, serial.Pattern(), bytes)
	require.NoError(c.e.T, err)
	require.Equal(c.e.T, want.Sum(nil), sum.Sum(nil), "the bytes are those that the guest sends every time")
	return took
}

// Transmit sends so many bytes to the guest, has it check them by their checksum, and returns how long they took.
func (c *Console) Transmit(bytes int64) time.Duration {
	c.e.T.Helper()
	c.Send(fmt.Sprintf("sink %d\r", bytes))
	c.Expect(fmt.Sprintf("ready %d\r\n", bytes))
	start := time.Now()
	sum, source := sha256.New(), io.LimitReader(serial.Pattern(), bytes)
	buffer := make([]byte, chunk)
	for {
		n, err := io.ReadFull(source, buffer)
		if n > 0 {
			sum.Write(buffer[:n])
			require.NoError(c.e.T, c.Connection.WriteMessage(websocket.BinaryMessage, buffer[:n]))
		}
		if err != nil {
			break
		}
	}
	c.checkSum(sum.Sum(nil))
	return time.Since(start)
}

// checkSum compares what the guest says about a transfer, which it does after the last byte.
func (c *Console) checkSum(sum []byte) {
	c.e.T.Helper()
	c.Expect("sha256 ")
	require.Equal(c.e.T, hex.EncodeToString(sum), c.Expect("\r\n"))
	c.Expect("$ ")
}
