#include "audit/mover.h"

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <climits>

namespace nb::audit {
namespace {

using std::chrono::milliseconds;

// How often the mover searches for dead consumers, as a part of the time after which one counts as
// dead.
constexpr int kLooksATakeover = 4;

MonoTime now() {
  return std::chrono::steady_clock::now();
}

}  // namespace

Mover::Mover(const Options& options, const Log& log, const Ending& ending)
    : options_(options),
      log_(log),
      ending_(ending),
      stream_(options, log, ending.fd()),
      database_(options, log, ending.fd()),
      backoff_({.base = milliseconds(200), .cap = options.backoff_cap}, Random::from_system()),
      count_(options.batch) {}

void Mover::run() {
  log_.info("moving %s from %s to PostgreSQL (%s), as consumer %s", "the audit of the sessions",
            redis_admin::place_of(options_.redis).c_str(), place_of_database(options_).c_str(),
            options_.consumer.c_str());
  while (!ending_.is_asked()) {
    const Status status = step();
    if (ending_.is_asked()) break;
    if (status) {
      well();
    } else {
      trouble(status);
      sleep(backoff_.next());
    }
    log_.say_left_out();
  }
  log_.say_left_out(true);
}

// The database first: entries that are read from the stream have to be stored.
Status Mover::open() {
  if (!database_.is_open()) {
    if (Status opened = database_.open(); !opened) return opened;
  }
  if (stream_.is_open()) return {};
  has_pending_ = true;
  taking_over_ = false;
  return stream_.open();
}

Status Mover::step() {
  if (Status opened = open(); !opened) return opened;
  if (!taking_over_ && now() >= next_takeover_) {
    taking_over_ = true;
    next_takeover_ = now() + options_.takeover_after / kLooksATakeover;
  }
  const Source source = has_pending_   ? Source::pending
                        : taking_over_ ? Source::others
                                       : Source::fresh;
  Result<Reading> reading = read(source);
  if (!reading) {
    // The entries may have been delivered to this consumer all the same.
    has_pending_ = true;
    const bool was_too_large = stream_.was_too_large();
    stream_.close();
    if (!was_too_large) return reading.error();
    if (count_ > 1) {
      count_ = std::max<uint64_t>(count_ / 8, 1);
      return {};
    }
    return source == Source::pending ? set_giant_aside() : Status();
  }
  if (source == Source::pending && reading->all) has_pending_ = false;
  if (source == Source::others && reading->all) taking_over_ = false;
  if (source == Source::fresh && reading->facts) note_gap(*reading->facts, *reading);
  if (Status moved = move(*reading); !moved) return moved;
  if (source == Source::others) say_taken_over(*reading);
  if (source == Source::fresh && reading->batch.is_empty()) {
    Status waited = stream_.wait();
    if (!waited) stream_.close();
    return waited;
  }
  return {};
}

Result<Reading> Mover::read(Source source) {
  switch (source) {
    case Source::pending:
      return stream_.read_pending(count_);
    case Source::others:
      return stream_.take_over(count_);
    case Source::fresh:
      break;
  }
  return stream_.read_new(count_);
}

void Mover::note_gap(const StreamFacts& facts, const Reading& reading) {
  const Batch& batch = reading.batch;
  const wire::StreamId last =
      batch.is_empty() ? wire::StreamId() : *wire::parse_stream_id(batch.ids.back());
  const Progress progress =
      look_for_gap(place_.value_or(database_.place()), facts, batch.ids.size(), last, reading.all);
  place_ = progress.place;
  if (!progress.gap) return;
  const Gap& gap = *progress.gap;
  // A second one before the first is stored: both in one.
  if (gap_) {
    gap_->before = gap.before;
    gap_->count =
        gap_->count && gap.count ? std::optional(*gap_->count + *gap.count) : std::nullopt;
  } else {
    gap_ = gap;
  }
  const std::string count = gap.count ? std::to_string(*gap.count) : "an unknown number of";
  log_.error(
      "%s entries were trimmed from the stream before they were read (between %s and %s): the "
      "stream keeps too few for how long this program or PostgreSQL was away ([session] "
      "audit_length of the agents)",
      count.c_str(), gap.after.text().c_str(), gap.before.text().c_str());
}

void Mover::say_lost(const Batch& batch) {
  if (!batch.gone.empty()) {
    log_.error(
        "%zu entries were trimmed from the stream after they were read and before they were "
        "stored (from %s on)",
        batch.gone.size(), batch.gone.front().c_str());
  }
  for (const OddEntry& odd : batch.odd) {
    log_.warning("entry %s is none of an agent's, and is kept in nodebeat_audit_odd: %s",
                 odd.id.c_str(), odd.reason.c_str());
  }
}

Status Mover::move(const Reading& reading) {
  const Batch& batch = reading.batch;
  const Place place = place_.value_or(database_.place());
  if (batch.is_empty() && !gap_ && place == database_.place()) return {};
  const auto stored = database_.store(batch, gap_, place);
  if (!stored) {
    has_pending_ = true;
    // One that takes too long as a whole may not in parts.
    count_ = std::max<uint64_t>(count_ / 2, 1);
    return stored.error();
  }
  gap_.reset();
  place_.reset();
  say_lost(batch);
  if (stored->odd > batch.odd.size()) {
    log_.warning("%" PRIu64
                 " entries were refused by the database for what they hold, and are kept "
                 "in nodebeat_audit_odd",
                 stored->odd - batch.odd.size());
  }
  log_.debug("moved %zu entries, %" PRIu64 " of which were new", batch.ids.size(), stored->rows);
  count_ = std::min(count_ * 2, options_.batch);
  if (batch.is_empty()) return {};
  Status done = stream_.acknowledge(batch.ids);
  if (!done) {
    has_pending_ = true;
    stream_.close();
  }
  return done;
}

void Mover::say_taken_over(const Reading& reading) {
  taken_over_ += reading.batch.ids.size();
  if (!reading.all || taken_over_ == 0) return;
  const auto ms = std::chrono::duration_cast<milliseconds>(options_.takeover_after);
  log_.notice("took over %" PRIu64 " entries that another consumer had left for %s", taken_over_,
              human_duration(ms.count()).c_str());
  taken_over_ = 0;
}

// The oldest entry that this consumer has is too large to be read.
Status Mover::set_giant_aside() {
  if (Status opened = open(); !opened) return opened;
  Result<std::string> id = stream_.oldest_pending();
  if (!id) {
    stream_.close();
    return id.error();
  }
  if (id->empty()) return {};
  Reading reading;
  reading.batch.ids = {*id};
  reading.batch.odd.push_back(
      {*id, "", "it is larger than any entry of an agent, and was not copied"});
  return move(reading);
}

// A trouble is logged when it comes and when it changes, not at each try.
void Mover::trouble(const Status& status) {
  const std::string& words = status.error().message;
  if (words == said_) return;
  log_.warning("%s; trying again", words.c_str());
  said_ = words;
}

void Mover::well() {
  backoff_.reset();
  if (said_.empty()) return;
  said_.clear();
  log_.notice("moving entries again");
}

void Mover::sleep(Duration duration) const {
  pollfd entry{ending_.fd(), POLLIN, 0};
  const auto ms = std::chrono::ceil<milliseconds>(duration).count();
  (void)::poll(&entry, 1, static_cast<int>(std::min<int64_t>(ms, INT_MAX)));
}

}  // namespace nb::audit
