package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
)

// tokens stands in for service account tokens, extra included: bearer token to user, as the file says now.
type tokens struct {
	file string

	lock  sync.Mutex
	read  time.Time
	known map[string]*user.DefaultInfo
}

func (t *tokens) AuthenticateToken(_ context.Context, token string) (*authenticator.Response, bool, error) {
	known, err := t.current()
	if err != nil {
		return nil, false, err
	}
	if u, ok := known[token]; ok {
		return &authenticator.Response{User: u}, true, nil
	}
	return nil, false, nil
}

func (t *tokens) current() (map[string]*user.DefaultInfo, error) {
	t.lock.Lock()
	defer t.lock.Unlock()
	info, err := os.Stat(t.file)
	if err != nil {
		return nil, err
	}
	if info.ModTime().Equal(t.read) {
		return t.known, nil
	}
	raw, err := os.ReadFile(t.file)
	if err != nil {
		return nil, err
	}
	var list []struct {
		Token, User string
		Groups      []string
		Extra       map[string][]string
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("%s: %w", t.file, err)
	}
	t.known, t.read = map[string]*user.DefaultInfo{}, info.ModTime()
	for _, entry := range list {
		t.known[entry.Token] = &user.DefaultInfo{Name: entry.User, Groups: append(entry.Groups, user.AllAuthenticated), Extra: entry.Extra}
	}
	return t.known, nil
}
