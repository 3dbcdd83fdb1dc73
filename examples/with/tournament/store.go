// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"database/sql"
	"errors"

	_ "modernc.org/sqlite" // in Go alone: no C compiler is needed
)

// Profile is what is known of a user.
type Profile struct {
	Name        string
	Played, Won int
	Banned      bool
}

// store keeps profiles and results. Safe to use from any goroutine.
type store struct{ db *sql.DB }

func openStore(path string) (*store, error) {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1) // SQLite has one writer
	if _, err = db.Exec(`
		CREATE TABLE IF NOT EXISTS users (name TEXT PRIMARY KEY, played INT DEFAULT 0, won INT DEFAULT 0, banned INT DEFAULT 0);
		CREATE TABLE IF NOT EXISTS results (match TEXT PRIMARY KEY, x TEXT, o TEXT, winner TEXT, cells TEXT)`); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &store{db}, nil
}

// profile returns what is known of a user, who is new perhaps.
func (s *store) profile(ctx context.Context, user string) (*Profile, error) {
	p := &Profile{Name: user}
	err := s.db.QueryRowContext(ctx, `INSERT INTO users (name) VALUES (?) ON CONFLICT DO UPDATE SET name = name
		RETURNING played, won, banned`, user).Scan(&p.Played, &p.Won, &p.Banned)
	return p, err
}

func (s *store) ban(ctx context.Context, user string) error {
	_, err := s.db.ExecContext(ctx, `INSERT INTO users (name, banned) VALUES (?, 1) ON CONFLICT DO UPDATE SET banned = 1`, user)
	return err
}

// result writes how a match ended. The match's own key makes that once, however often
// it is tried.
func (s *store) result(ctx context.Context, match string, b Board) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after Commit it does nothing
	_, err = tx.ExecContext(ctx, `INSERT INTO results VALUES (?, ?, ?, ?, ?)`, match, b.Players[0], b.Players[1], b.Winner, b.Cells)
	if err == nil {
		_, err = tx.ExecContext(ctx, `UPDATE users SET played = played + 1, won = won + (name = ?) WHERE name IN (?, ?)`,
			b.Winner, b.Players[0], b.Players[1])
	}
	if err != nil {
		return err
	}
	return tx.Commit()
}
