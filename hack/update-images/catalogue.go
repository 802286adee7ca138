package main

import (
	"bytes"
	"errors"
	"strings"

	"go.yaml.in/yaml/v3"
)

// updateCatalogue sets the checksum of each image with an http(s) address to what checksumOf says, or takes it out. Comments and order
// stay.
func updateCatalogue(text []byte, checksumOf func(address string) string) ([]byte, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	if len(document.Content) != 1 {
		return nil, errors.New("the catalogue is empty")
	}
	images := valueOf(document.Content[0], "images")
	if images == nil {
		return nil, errors.New("the catalogue has no images")
	}
	for _, image := range images.Content {
		versions := valueOf(image, "versions")
		if versions == nil {
			continue
		}
		for _, version := range versions.Content {
			if address := valueOf(version, "url"); address != nil && strings.HasPrefix(address.Value, "http") {
				set(version, "checksum", checksumOf(address.Value))
			}
		}
	}
	var written bytes.Buffer
	encoder := yaml.NewEncoder(&written)
	encoder.SetIndent(2)
	encoder.CompactSeqIndent()
	if err := encoder.Encode(&document); err != nil {
		return nil, err
	}
	return written.Bytes(), encoder.Close()
}

// publish puts a catalogue into the manifest of its ConfigMap.
func publish(manifest, catalogue []byte) ([]byte, error) {
	const begin, end = "  catalogue.yaml: |\n", "---\n"
	before, rest, found := bytes.Cut(manifest, []byte(begin))
	_, after, ended := bytes.Cut(rest, []byte("\n"+end))
	if !found || !ended {
		return nil, errors.New("there is no catalogue.yaml in a document that another one follows")
	}
	published := append(bytes.Clone(before), begin...)
	for line := range strings.Lines(string(catalogue)) {
		if strings.TrimSpace(line) != "" {
			published = append(published, "    "...)
		}
		published = append(published, line...)
	}
	return append(append(published, end...), after...), nil
}

// valueOf is the value of a key of a mapping, or nil.
func valueOf(mapping *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	return nil
}

// set gives a key of a mapping a text, or takes the key out if that is empty.
func set(mapping *yaml.Node, key, text string) {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value != key {
			continue
		}
		if text == "" {
			mapping.Content = append(mapping.Content[:i], mapping.Content[i+2:]...)
		} else {
			mapping.Content[i+1].Value = text
		}
		return
	}
	if text != "" {
		mapping.Content = append(mapping.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, &yaml.Node{Kind: yaml.ScalarNode, Value: text})
	}
}
