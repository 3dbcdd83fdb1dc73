// SPDX-License-Identifier: MIT

// Command sqlite is a server with profiles in a database: read once at login, changed
// off the room's goroutine, and safe against an answer that was lost.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"log"
	"os"
	"os/signal"
	"syscall"

	_ "modernc.org/sqlite" // in Go alone: no C compiler is needed

	"github.com/lifeline-go/lifeline/framework"
)

// Profile is what is stored of a user.
type Profile struct {
	User string
	Gold int
}

// Purchase is what a client asks for. Its ID, which the client draws, makes it happen
// once: sessions are exactly once, and yet a server may end between a commit and its
// answer.
type Purchase struct {
	ID   string
	Cost int
}

const codeTooPoor = framework.GameError + 1

// bank is the database. Safe to use from any goroutine.
type bank struct{ db *sql.DB }

func openBank(file string) (*bank, error) {
	db, err := sql.Open("sqlite", file)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1) // SQLite has one writer
	_, err = db.Exec(`
		CREATE TABLE IF NOT EXISTS profiles (user TEXT PRIMARY KEY, gold INT NOT NULL CHECK (gold >= 0));
		CREATE TABLE IF NOT EXISTS purchases (user TEXT, id TEXT, cost INT, PRIMARY KEY (user, id))`)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &bank{db}, nil
}

// profile returns that of a user, who begins with 100 gold.
func (b *bank) profile(ctx context.Context, user string) (*Profile, error) {
	p := &Profile{User: user}
	err := b.db.QueryRowContext(ctx, `INSERT INTO profiles VALUES (?, 100)
		ON CONFLICT DO UPDATE SET gold = gold RETURNING gold`, user).Scan(&p.Gold)
	return p, err
}

// buy takes the cost, once for each ID, and returns what is left.
func (b *bank) buy(ctx context.Context, user string, p Purchase) (gold int, err error) {
	tx, err := b.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }() // after Commit it does nothing
	made, err := tx.ExecContext(ctx, `INSERT INTO purchases VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, user, p.ID, p.Cost)
	if err != nil {
		return 0, err
	}
	if n, _ := made.RowsAffected(); n == 0 {
		p.Cost = 0 // it was paid before
	}
	err = tx.QueryRowContext(ctx, `UPDATE profiles SET gold = gold - ?1 WHERE user = ?2 AND gold >= ?1 RETURNING gold`, p.Cost, user).Scan(&gold)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, framework.Fail(codeTooPoor, "not enough gold")
	}
	if err != nil {
		return 0, err
	}
	return gold, tx.Commit()
}

// Shop is a room. It goes on while the database works.
type Shop struct {
	*framework.Room
	bank *bank
}

// Buy answers when the purchase is written.
func (s *Shop) Buy(p *framework.Player, what Purchase, reply framework.Reply[int]) {
	if what.Cost < 1 || what.ID == "" {
		reply(0, framework.Fail(codeTooPoor, "a purchase has an id and a cost"))
		return
	}
	user := p.User()
	framework.Async(s, func(ctx context.Context) (int, error) { return s.bank.buy(ctx, user, what) }, func(gold int, err error) {
		reply(gold, err)
		if err == nil {
			_ = s.Broadcast("bought", user, p)
		}
	})
}

func newServer(cfg framework.Config, b *bank) (*framework.Server, error) {
	cfg.Authenticate = func(ctx context.Context, l framework.Login) (framework.Identity, error) {
		profile, err := b.profile(ctx, string(l.Ticket)) // the name alone: see examples/with/jwt
		if err != nil {
			return framework.Identity{}, err // the client comes back by itself
		}
		return framework.Identity{User: profile.User, Data: profile}, nil
	}
	cfg.OnOpen = func(p *framework.Player) { _ = p.Push("profile", framework.DataOf[*Profile](p)) }
	cfg.Strict = true // while it is developed: what comes to nothing is told
	srv, err := framework.New(cfg)
	if err != nil {
		return nil, err
	}
	shops := framework.AddRoom(srv, "shop", func(r *framework.Room) *Shop { return &Shop{r, b} })
	framework.OnRoomRequestAsync(shops, "buy", (*Shop).Buy)
	srv.Sends(framework.DeliverAll, "profile", "bought")
	return srv, nil
}

func main() {
	tcp := flag.String("tcp", "127.0.0.1:7777", "listen `address` of TCP")
	file := flag.String("db", "shop.db", "`file` of the database")
	flag.Parse()
	if flag.NArg() > 0 { // what follows it would not be read
		log.Fatalf("%q is no flag", flag.Arg(0))
	}
	b, err := openBank(*file)
	if err != nil {
		log.Fatal(err)
	}
	srv, err := newServer(framework.Config{TCP: *tcp}, b)
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	err = srv.Run(ctx)
	if err = errors.Join(err, b.db.Close()); err != nil {
		log.Fatal(err)
	}
}
