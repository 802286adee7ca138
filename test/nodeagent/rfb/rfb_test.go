package rfb

import (
	"bytes"
	"context"
	"encoding/binary"
	"image/png"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func read(t *testing.T, from io.Reader, n int) []byte {
	buffer := make([]byte, n)
	_, err := io.ReadFull(from, buffer)
	require.NoError(t, err)
	return buffer
}

func write(t *testing.T, to io.Writer, parts ...any) {
	for _, part := range parts {
		require.NoError(t, binary.Write(to, binary.BigEndian, part))
	}
}

func TestSession(t *testing.T) {
	here, there := net.Pipe()
	require.NoError(t, here.SetDeadline(time.Now().Add(10*time.Second)))
	served := make(chan error, 1)
	picture := Display(7)
	go func() { served <- Serve(context.Background(), there, "vm-1", picture) }()

	assert.Equal(t, version, string(read(t, here, 12)))
	write(t, here, []byte(version))
	assert.Equal(t, []byte{1, 1}, read(t, here, 2), "security type None is the only one")
	write(t, here, uint8(1))
	assert.Equal(t, []byte{0, 0, 0, 0}, read(t, here, 4))
	write(t, here, uint8(1))
	init := read(t, here, 24)
	assert.Equal(t, uint16(Width), binary.BigEndian.Uint16(init))
	assert.Equal(t, uint16(Height), binary.BigEndian.Uint16(init[2:]))
	assert.Equal(t, "vm-1", string(read(t, here, int(binary.BigEndian.Uint32(init[20:])))))

	write(t, here, uint8(setEncodings), uint8(0), uint16(1), int32(0))
	write(t, here, uint8(keyEvent), [7]byte{}, uint8(pointerEvent), [5]byte{})
	write(t, here, uint8(clientCutText), [3]byte{}, uint32(2), []byte("hi"))
	write(t, here, uint8(framebufferUpdateRequest), uint8(0), [4]uint16{0, 0, Width, Height})
	head := read(t, here, 16)
	assert.Equal(t, uint16(1), binary.BigEndian.Uint16(head[2:]))
	pixels := read(t, here, Width*Height*4)
	at := picture.RGBAAt(50, 60)
	assert.Equal(t, []byte{at.B, at.G, at.R, 0}, pixels[(60*Width+50)*4:][:4])

	write(t, here, uint8(setPixelFormat), [3]byte{}, pixelFormat{BitsPerPixel: 16, Depth: 16, TrueColor: 1, RedMax: 31, GreenMax: 63, BlueMax: 31, RedShift: 11, GreenShift: 5})
	write(t, here, uint8(framebufferUpdateRequest), uint8(1), [4]uint16{0, 0, Width, Height})
	read(t, here, 16+Width*Height*2)

	require.NoError(t, here.Close())
	assert.NoError(t, <-served)
}

func TestBadClients(t *testing.T) {
	tests := map[string][]byte{
		"old version":      []byte("RFB 003.003\n"),
		"security type":    append([]byte(version), 2),
		"unknown message":  append([]byte(version), 1, 1, 99),
		"clipboard":        append([]byte(version), 1, 1, clientCutText, 0, 0, 0, 255, 255, 255, 255),
		"palette":          append(append([]byte(version), 1, 1, setPixelFormat, 0, 0, 0), make([]byte, 16)...),
		"ends in the head": []byte("RFB"),
	}
	for name, input := range tests {
		t.Run(name, func(t *testing.T) {
			conn := struct {
				io.Reader
				io.Writer
				io.Closer
			}{bytes.NewReader(input), io.Discard, io.NopCloser(nil)}
			assert.Error(t, Serve(context.Background(), conn, "vm", Display(0)))
		})
	}
}

func TestPNG(t *testing.T) {
	data, err := PNG(Display(3))
	require.NoError(t, err)
	picture, err := png.Decode(bytes.NewReader(data))
	require.NoError(t, err)
	assert.Equal(t, Width, picture.Bounds().Dx())
}
