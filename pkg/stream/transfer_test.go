package stream

import (
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// transferSize is what goes each way, in bytes.
const transferSize = 200 << 20

// noise is a reproducible stream of bytes, with messages of changing sizes.
func noise(seed uint64, size int) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{byte(seed)}), int64(size))
}

// sendAll writes a source as messages of changing sizes and returns its checksum.
func sendAll(connection *websocket.Conn, source io.Reader) ([]byte, error) {
	sum := sha256.New()
	sizes := rand.New(rand.NewPCG(1, 2))
	buffer := make([]byte, 200<<10)
	for {
		n, err := io.ReadFull(source, buffer[:1+sizes.IntN(len(buffer)-1)])
		if n > 0 {
			sum.Write(buffer[:n])
			if err := connection.WriteMessage(websocket.BinaryMessage, buffer[:n]); err != nil {
				return nil, err
			}
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return sum.Sum(nil), nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// receiveAll reads so many bytes and returns their checksum.
func receiveAll(connection *websocket.Conn, size int) ([]byte, error) {
	sum := sha256.New()
	for received := int64(0); received < int64(size); {
		_, message, err := connection.NextReader()
		if err != nil {
			return nil, err
		}
		n, err := io.Copy(sum, message)
		if err != nil {
			return nil, err
		}
		received += n
	}
	return sum.Sum(nil), nil
}

func TestLargeTransferBothWays(t *testing.T) {
	sent, received := make(chan []byte, 1), make(chan []byte, 1)
	b := newBench(t, upgraded(func(connection *websocket.Conn) {
		go func() {
			sum, err := sendAll(connection, noise(1, transferSize))
			assert.NoError(t, err)
			sent <- sum
		}()
		sum, err := receiveAll(connection, transferSize)
		assert.NoError(t, err)
		received <- sum
		drain(connection)
	}))
	client := b.mustConnect("alice", "/console")
	start := time.Now()
	type result struct {
		sum []byte
		err error
	}
	up := make(chan result, 1)
	go func() {
		sum, err := sendAll(client, noise(2, transferSize))
		up <- result{sum, err}
	}()
	down, err := receiveAll(client, transferSize)
	require.NoError(t, err)
	uploaded := <-up
	require.NoError(t, uploaded.err)
	assert.Equal(t, <-sent, down, "from the machine")
	assert.Equal(t, uploaded.sum, <-received, "to the machine")
	t.Logf("%d MiB each way in %v on %d CPUs", transferSize>>20, time.Since(start), runtime.NumCPU())
}

func TestAllArrivesBeforeTheEnd(t *testing.T) {
	const size = 8 << 20
	sent := make(chan []byte, 1)
	b := newBench(t, upgraded(func(connection *websocket.Conn) {
		sum, err := sendAll(connection, noise(3, size))
		assert.NoError(t, err)
		sent <- sum
		_ = connection.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, "done"), time.Now().Add(time.Second))
		drain(connection)
	}))
	client := b.mustConnect("alice", "/portforward")
	got, err := receiveAll(client, size)
	require.NoError(t, err)
	assert.Equal(t, <-sent, got)
	assert.Equal(t, 1000, closeOf(t, client, 5*time.Second).Code)
}

// liveBytes is the memory in use, stacks included.
func liveBytes() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc + stats.StackInuse)
}
