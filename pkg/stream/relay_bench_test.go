package stream

import (
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

// BenchmarkRelay measures bytes from the machine to a client over two TLS connections, by the size of a message. KubeVirt sends
// up to 32 KiB in one.
func BenchmarkRelay(b *testing.B) {
	for _, size := range []struct {
		name  string
		bytes int
	}{{"1KiB", 1 << 10}, {"10KiB", 10 << 10}, {"32KiB", 32 << 10}} {
		b.Run(size.name, func(b *testing.B) {
			sink, source := benchConnections(b)
			message := make([]byte, size.bytes)
			b.SetBytes(int64(size.bytes))
			b.ReportAllocs()
			b.ResetTimer()
			go func() {
				for range b.N {
					if source.WriteMessage(websocket.BinaryMessage, message) != nil {
						return
					}
				}
			}()
			_, err := receiveAll(sink, size.bytes*b.N)
			require.NoError(b, err)
		})
	}
}

// benchConnections returns the two far ends of a relay.
func benchConnections(tb testing.TB) (client, machine *websocket.Conn) {
	arrived := make(chan *websocket.Conn, 1)
	done := make(chan struct{})
	setup := newBench(tb, upgraded(func(connection *websocket.Conn) {
		arrived <- connection
		<-done
	}))
	client = setup.mustConnect("alice", "/portforward")
	machine = <-arrived
	tb.Cleanup(func() { close(done) })
	_ = client.SetReadDeadline(time.Time{})
	return client, machine
}

// TestIdleStreamsAreCheap opens many consoles at once and says what one costs.
func TestIdleStreamsAreCheap(t *testing.T) {
	const streams = 100
	b := newBench(t, upgraded(drain))
	before := liveBytes()
	for range streams {
		b.mustConnect("alice", "/portforward")
	}
	require.Len(t, b.gateway.Sessions().List("", ""), streams)
	// Client, gateway and KubeVirt live in this process, so a stream of the gateway costs less than this.
	t.Logf("an idle stream costs %d KiB, client and server included", (liveBytes()-before)/streams>>10)
}
