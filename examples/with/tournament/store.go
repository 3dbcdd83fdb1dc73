// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"database/sql"
	"errors"
	"math"

	_ "modernc.org/sqlite" // in Go alone: no C compiler is needed
)

// Profile is what is known of a user.
type Profile struct {
	Name        string
	Played, Won int
	Banned      bool
	Rating      float64
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
		CREATE TABLE IF NOT EXISTS users (name TEXT PRIMARY KEY, played INT DEFAULT 0, won INT DEFAULT 0, banned INT DEFAULT 0, rating REAL DEFAULT 1500);
		CREATE TABLE IF NOT EXISTS results (match TEXT PRIMARY KEY, x TEXT, o TEXT, winner TEXT, cells TEXT)`); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &store{db}, nil
}

// profile returns what is known of a user, who is new perhaps.
func (s *store) profile(ctx context.Context, user string) (*Profile, error) {
	p := &Profile{Name: user}
	err := s.db.QueryRowContext(ctx, `INSERT INTO users (name) VALUES (?) ON CONFLICT DO UPDATE SET name = name
		RETURNING played, won, banned, rating`, user).Scan(&p.Played, &p.Won, &p.Banned, &p.Rating)
	return p, err
}

func (s *store) ban(ctx context.Context, user string) error {
	_, err := s.db.ExecContext(ctx, `INSERT INTO users (name, banned) VALUES (?, 1) ON CONFLICT DO UPDATE SET banned = 1`, user)
	return err
}

// result writes how a match ended, and what it did to ratings if it was for them. The match's own key makes that once, however often
// it is tried.
func (s *store) result(ctx context.Context, match string, b Board, rated bool) error {
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
	if err == nil && rated {
		err = rate(ctx, tx, b)
	}
	if err != nil {
		return err
	}
	return tx.Commit()
}

// rate moves both ratings by what was not expected: Elo, with a K of 32.
func rate(ctx context.Context, tx *sql.Tx, b Board) error {
	var x, o float64
	err := tx.QueryRowContext(ctx, `SELECT (SELECT rating FROM users WHERE name = ?), (SELECT rating FROM users WHERE name = ?)`,
		b.Players[0], b.Players[1]).Scan(&x, &o)
	if err != nil {
		return err
	}
	score := map[string]float64{b.Players[0]: 1, b.Players[1]: 0, "": 0.5}[b.Winner]
	gain := 32 * (score - 1/(1+math.Pow(10, (o-x)/400)))
	_, err = tx.ExecContext(ctx, `UPDATE users SET rating = rating + (CASE name WHEN ? THEN ? ELSE ? END) WHERE name IN (?, ?)`,
		b.Players[0], gain, -gain, b.Players[0], b.Players[1])
	return err
}
