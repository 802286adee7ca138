// Package rfb is the smallest useful server of the remote framebuffer protocol
// (RFC 6143, version 3.8, security type None, raw encoding).
package rfb

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
)

// Size of the display in pixels.
const (
	Width  = 320
	Height = 200
)

const version = "RFB 003.008\n"

// Client messages of RFC 6143, section 7.5.
const (
	setPixelFormat           = 0
	setEncodings             = 2
	framebufferUpdateRequest = 3
	keyEvent                 = 4
	pointerEvent             = 5
	clientCutText            = 6
)

// maxCutText bounds the clipboard text that a client may send.
const maxCutText = 1 << 20

// pixelFormat is 16 bytes on the wire (RFC 6143, section 7.4).
type pixelFormat struct {
	BitsPerPixel, Depth, BigEndian, TrueColor uint8
	RedMax, GreenMax, BlueMax                 uint16
	RedShift, GreenShift, BlueShift           uint8
	_                                         [3]uint8
}

var errFormat = errors.New("only true colour with 8, 16 or 32 bits per pixel is supported")

// Display draws the picture that every simulated guest shows: a gradient in a
// colour of its own.
func Display(seed byte) *image.RGBA {
	picture := image.NewRGBA(image.Rect(0, 0, Width, Height))
	draw.Draw(picture, picture.Bounds(), image.Black, image.Point{}, draw.Src)
	for y := 20; y < Height-20; y++ {
		for x := 20; x < Width-20; x++ {
			picture.SetRGBA(x, y, color.RGBA{R: byte(x), G: byte(y), B: seed, A: 255})
		}
	}
	return picture
}

// PNG encodes a picture.
func PNG(picture image.Image) ([]byte, error) {
	var b bytes.Buffer
	if err := png.Encode(&b, picture); err != nil {
		return nil, fmt.Errorf("encoding the screenshot: %w", err)
	}
	return b.Bytes(), nil
}

type session struct {
	in      *bufio.Reader
	out     *bufio.Writer
	name    string
	picture *image.RGBA
	format  pixelFormat
	sent    bool
}

// Serve shows the picture on the connection until the peer leaves or the
// context ends; it closes the connection.
func Serve(ctx context.Context, conn io.ReadWriteCloser, name string, picture *image.RGBA) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer conn.Close()
	s := &session{
		in: bufio.NewReader(conn), out: bufio.NewWriterSize(conn, 64<<10), name: name, picture: picture,
		format: pixelFormat{
			BitsPerPixel: 32, Depth: 24, TrueColor: 1,
			RedMax: 255, GreenMax: 255, BlueMax: 255, RedShift: 16, GreenShift: 8,
		},
	}
	err := s.handshake()
	for err == nil {
		err = s.message()
	}
	if errors.Is(err, io.EOF) || ctx.Err() != nil {
		return nil
	}
	return err
}

func (s *session) handshake() error {
	if err := s.send([]byte(version)); err != nil {
		return err
	}
	greeting := make([]byte, len(version))
	if _, err := io.ReadFull(s.in, greeting); err != nil {
		return err
	}
	if string(greeting) != version {
		return fmt.Errorf("the client speaks %q, only version 3.8 is supported", greeting)
	}
	// One security type: None.
	if err := s.send([]byte{1, 1}); err != nil {
		return err
	}
	if chosen, err := s.in.ReadByte(); err != nil {
		return err
	} else if chosen != 1 {
		return fmt.Errorf("the client chose security type %d, only None is offered", chosen)
	}
	if err := s.send([]byte{0, 0, 0, 0}); err != nil {
		return err
	}
	if _, err := s.in.ReadByte(); err != nil { // ClientInit: shared or not
		return err
	}
	return s.send(uint16(Width), uint16(Height), s.format, uint32(len(s.name)), []byte(s.name))
}

func (s *session) send(parts ...any) error {
	for _, part := range parts {
		if err := binary.Write(s.out, binary.BigEndian, part); err != nil {
			return err
		}
	}
	return s.out.Flush()
}

func (s *session) message() error {
	kind, err := s.in.ReadByte()
	if err != nil {
		return err
	}
	switch kind {
	case setPixelFormat:
		return s.setFormat()
	case setEncodings:
		var head struct {
			_     uint8
			Count uint16
		}
		if err := binary.Read(s.in, binary.BigEndian, &head); err != nil {
			return err
		}
		return s.skip(int64(head.Count) * 4)
	case framebufferUpdateRequest:
		var request struct {
			Incremental         uint8
			X, Y, Width, Height uint16
		}
		if err := binary.Read(s.in, binary.BigEndian, &request); err != nil {
			return err
		}
		// The picture never changes, so an incremental request waits for ever.
		if request.Incremental != 0 && s.sent {
			return nil
		}
		return s.update()
	case keyEvent:
		return s.skip(7)
	case pointerEvent:
		return s.skip(5)
	case clientCutText:
		var head struct {
			_      [3]uint8
			Length uint32
		}
		if err := binary.Read(s.in, binary.BigEndian, &head); err != nil {
			return err
		}
		if head.Length > maxCutText {
			return fmt.Errorf("clipboard text of %d bytes is too long", head.Length)
		}
		return s.skip(int64(head.Length))
	}
	return fmt.Errorf("unknown message type %d", kind)
}

func (s *session) skip(bytes int64) error {
	_, err := io.CopyN(io.Discard, s.in, bytes)
	return err
}

func (s *session) setFormat() error {
	if err := s.skip(3); err != nil {
		return err
	}
	var format pixelFormat
	if err := binary.Read(s.in, binary.BigEndian, &format); err != nil {
		return err
	}
	switch format.BitsPerPixel {
	case 8, 16, 32:
	default:
		return errFormat
	}
	if format.TrueColor == 0 || max(format.RedShift, format.GreenShift, format.BlueShift) > 31 {
		return errFormat
	}
	s.format, s.sent = format, false
	return nil
}

// update sends the whole picture as one raw rectangle.
func (s *session) update() error {
	s.sent = true
	var order binary.AppendByteOrder = binary.LittleEndian
	if s.format.BigEndian != 0 {
		order = binary.BigEndian
	}
	pixels := make([]byte, 0, Width*Height*int(s.format.BitsPerPixel)/8)
	scale := func(value uint8, highest uint16, shift uint8) uint32 {
		return uint32(value) * uint32(highest) / 255 << shift
	}
	for y := range Height {
		for x := range Width {
			at := s.picture.RGBAAt(x, y)
			value := scale(at.R, s.format.RedMax, s.format.RedShift) |
				scale(at.G, s.format.GreenMax, s.format.GreenShift) |
				scale(at.B, s.format.BlueMax, s.format.BlueShift)
			switch s.format.BitsPerPixel {
			case 8:
				pixels = append(pixels, byte(value))
			case 16:
				pixels = order.AppendUint16(pixels, uint16(value))
			default:
				pixels = order.AppendUint32(pixels, value)
			}
		}
	}
	rectangle := struct {
		Kind, _             uint8
		Rectangles          uint16
		X, Y, Width, Height uint16
		Encoding            int32
	}{Rectangles: 1, Width: Width, Height: Height}
	return s.send(rectangle, pixels)
}
