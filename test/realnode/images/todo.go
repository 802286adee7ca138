package images

func nodeRoot() debianRoot                                      { return debianRoot{} }
func (w *Workspace) makeDebianRoot() (map[string]string, error) { return nil, nil }
func (w *Workspace) makeDebianGuest() error                     { return nil }
func (w *Workspace) makeImages() error                          { return nil }
