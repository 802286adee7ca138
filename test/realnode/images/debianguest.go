package images

func (w *Workspace) makeDebianRoot() (map[string]string, error) { return nil, nil }

func (w *Workspace) makeDebianGuest() error { return nil }
