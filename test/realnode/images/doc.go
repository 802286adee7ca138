// Package images makes what the lab's real node runs, from Debian's packages and without a container daemon: the images
// of launcher and importer, a few small ones, and two guests as disk images.
//
// Everything is kept below one folder and made anew only when its inputs change. What is there under its final name is
// whole: results are written under a temporary name and renamed, and a stamp that says what they were made of comes last.
package images
