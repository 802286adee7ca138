package images

import (
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
	"github.com/u-root/u-root/pkg/cpio"
)

// writeInitramfs writes the tree as a compressed initramfs for Linux.
func (t tree) writeInitramfs(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	compressed, err := zstd.NewWriter(file, zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	if err := t.writeCPIO(compressed); err != nil {
		return err
	}
	if err := compressed.Close(); err != nil {
		return err
	}
	return file.Close()
}

func (t tree) writeCPIO(to io.Writer) error {
	archive := cpio.Newc.Writer(to)
	for number, name := range t.names() {
		record, err := t.record(name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		record = cpio.MakeReproducible(record)
		record.Ino = uint64(number + 1)
		if err := archive.WriteRecord(record); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return cpio.WriteTrailer(archive)
}

func (t tree) record(name string) (cpio.Record, error) {
	n := t[name]
	switch {
	case n.folder:
		return cpio.Directory(name, uint64(n.mode)), nil
	case n.open == nil:
		return cpio.Symlink(name, n.link), nil
	}
	content, err := t.read(name)
	if err != nil {
		return cpio.Record{}, err
	}
	return cpio.StaticFile(name, string(content), uint64(n.mode)), nil
}
