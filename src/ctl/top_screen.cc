#include "ctl/top_screen.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

#include "terminal/local_time.h"
#include "terminal/table.h"
#include "terminal/text.h"

namespace nb::ctl {
namespace {

using Kind = Key::Kind;

constexpr long kFar = std::numeric_limits<int>::max();
constexpr const char* kOrderNames[] = {"state", "name", "CPU", "memory", "last beat"};
constexpr size_t kRowsForHints = 8;  // with fewer rows the last row is needed for data
constexpr size_t kRowsForMoreEvents = 20;

constexpr struct {
  const char *key, *what;
} kHelp[] = {
    {"q, Ctrl-C", "leave"},
    {"?, h", "this help, and back"},
    {"up, down, k, j", "the node before, the node after; on other pages a line"},
    {"Page Up, Page Down", "a page"},
    {"Home, End, g, G", "the first, the last"},
    {"Enter", "the node's own page: all that its health says, its strokes and events"},
    {"Esc", "back to the cell; there: show all nodes again"},
    {"s", "sort by the next of: state, name, CPU, memory, last beat"},
    {"r", "the other way round"},
    {"/", "show only nodes whose name, state or cause has this text; Enter ends it"},
};

bool contains(std::string_view text, std::string_view part) {
  const auto same = [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) ==
           std::tolower(static_cast<unsigned char>(b));
  };
  return std::search(text.begin(), text.end(), part.begin(), part.end(), same) != text.end();
}

void append(std::vector<std::string>& to, std::vector<std::string> more) {
  to.insert(to.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

}  // namespace

bool TopScreen::on_key(const Key& key) {
  if (key.kind == Kind::interrupt) return false;
  if (typing_) {
    on_filter_key(key);
    return true;
  }
  switch (key.kind) {
    case Kind::text:
      return on_text(key.text[0]);
    case Kind::enter:
      // The list may have changed since it was drawn: several keys may come at once.
      if (page_ == Page::cell) settle(chosen(model_.fleet()));
      page_ = page_ == Page::cell && !selected_.empty() ? Page::node : Page::cell;
      line_ = 0;
      break;
    case Kind::escape:
    case Kind::backspace:
      if (page_ == Page::cell) filter_.clear();
      page_ = Page::cell;
      break;
    default:
      move(key);
  }
  return true;
}

bool TopScreen::on_text(char c) {
  switch (c) {
    case 'q':
    case 'Q':
      return false;
    case '?':
    case 'h':
      page_ = page_ == Page::help ? Page::cell : Page::help;
      line_ = 0;
      break;
    case 's':
      next_order();
      break;
    case 'r':
      reversed_ = !reversed_;
      break;
    case '/':
      page_ = Page::cell;
      typing_ = true;
      break;
    case 'k':
      move({Kind::up, {}});
      break;
    case 'j':
      move({Kind::down, {}});
      break;
    case 'g':
      move({Kind::home, {}});
      break;
    case 'G':
      move({Kind::end, {}});
      break;
    default:
      break;
  }
  return true;
}

void TopScreen::on_filter_key(const Key& key) {
  if (key.kind == Kind::text) filter_ += key.text;
  if (key.kind == Kind::backspace) {
    while (!filter_.empty() && (static_cast<unsigned char>(filter_.back()) & 0xC0) == 0x80) {
      filter_.pop_back();
    }
    if (!filter_.empty()) filter_.pop_back();
  }
  if (key.kind == Kind::escape) filter_.clear();
  if (key.kind == Kind::escape || key.kind == Kind::enter) typing_ = false;
}

void TopScreen::move(const Key& key) {
  const auto page = static_cast<long>(page_ == Page::cell ? shown_ : page_lines_);
  long by = 0;
  if (key.kind == Kind::up) by = -1;
  if (key.kind == Kind::down) by = 1;
  if (key.kind == Kind::page_up) by = -std::max(page - 1, 1L);
  if (key.kind == Kind::page_down) by = std::max(page - 1, 1L);
  if (key.kind == Kind::home) by = -kFar;
  if (key.kind == Kind::end) by = kFar;
  if (page_ == Page::cell) {
    wanted_ = std::clamp(wanted_ + by, -kFar, kFar);
  } else {
    line_ = static_cast<size_t>(std::clamp(static_cast<long>(line_) + by, 0L, kFar));
  }
}

void TopScreen::next_order() {
  order_ = static_cast<Order>((static_cast<size_t>(order_) + 1) % kOrders);
}

std::string TopScreen::order_words() const {
  return std::string("sorted by ") + kOrderNames[static_cast<size_t>(order_)] +
         (reversed_ ? ", reversed" : "");
}

// The nodes that the filter lets through, in the order that is wanted.
std::vector<const FleetNode*> TopScreen::chosen(const Fleet& fleet) const {
  std::vector<const FleetNode*> out;
  for (const FleetNode& node : fleet.nodes) {
    if (filter_.empty() || contains(node.name, filter_) ||
        contains(state_cell(node, fleet.now).text, filter_)) {
      out.push_back(&node);
    }
  }
  // The largest is first, as the worst state is first. For a node that is not up, figures mean
  // nothing.
  const auto weight = [this](const FleetNode& node) -> double {
    const auto figure = [&](const std::optional<double>& value) {
      return node.up ? -value.value_or(-1) : 2;
    };
    switch (order_) {
      case Order::state:
        return rank(node);
      case Order::name:
        return 0;
      case Order::cpu:
        return figure(node.cpu);
      case Order::memory:
        return figure(node.memory);
      case Order::beat:
        return node.age_ms ? -static_cast<double>(*node.age_ms) : -kFar;
    }
    return 0;
  };
  std::stable_sort(out.begin(), out.end(), [&](const FleetNode* a, const FleetNode* b) {
    const double left = weight(*a);
    const double right = weight(*b);
    return left < right || (left == right && a->name < b->name);
  });
  if (reversed_) std::reverse(out.begin(), out.end());
  return out;
}

// Finds the selected node in the list, and moves the selection as requested.
void TopScreen::settle(const std::vector<const FleetNode*>& nodes) {
  const long wanted = std::exchange(wanted_, 0);
  if (nodes.empty()) return selected_.clear();
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (nodes[i]->name == selected_) index_ = i;
  }
  const long last = static_cast<long>(nodes.size()) - 1;
  index_ = static_cast<size_t>(std::clamp(static_cast<long>(index_) + wanted, 0L, last));
  selected_ = nodes[index_]->name;
}

// The head of the table and as many nodes as have room, with the one that is selected among them.
TopScreen::Lines TopScreen::node_rows(const Fleet& fleet, const Style& style, size_t room) {
  Style narrower = style;
  narrower.columns -= std::min<size_t>(style.columns, 2);  // for the mark
  const Table::Layout table = fleet_table(fleet, model_.self(), narrower).layout(narrower);
  const size_t count = table.rows.size();
  Lines out;
  for (const std::string& line : table.head) out.push_back("  " + line);
  if (count == 0) return out;

  first_ = std::min(first_, index_);
  size_t lines = 0;
  for (size_t i = first_; i <= index_; ++i) lines += table.rows[i].size();
  while (lines > room && first_ < index_) lines -= table.rows[first_++].size();
  // Where the list has become shorter, the room at its end is used.
  size_t behind = 0;
  for (size_t i = first_; i < count; ++i) behind += table.rows[i].size();
  while (first_ > 0 && behind + table.rows[first_ - 1].size() <= room) {
    behind += table.rows[--first_].size();
  }

  shown_ = 0;
  size_t used = 0;
  for (size_t i = first_; i < count; ++i) {
    const Lines& row = table.rows[i];
    // A row is shown whole, unless it has more lines than there are.
    if (used + row.size() > room && shown_ > 0) break;
    for (size_t at = 0; at < row.size() && used < room; ++at, ++used) {
      const bool marked = i == index_ && at == 0;
      out.push_back(style.paint(Colour::bold, marked ? (style.utf8 ? "▸ " : "> ") : "  ") +
                    row[at]);
    }
    ++shown_;
  }
  return out;
}

TopScreen::Lines TopScreen::cell_lines(const Style& style, size_t rows, int64_t now) {
  Fleet fleet = model_.fleet_with_poses();
  const size_t all = fleet.nodes.size();
  const std::vector<const FleetNode*> wanted = chosen(fleet);
  settle(wanted);
  std::vector<FleetNode> nodes;
  for (const FleetNode* node : wanted) nodes.push_back(*node);
  fleet.nodes = std::move(nodes);

  Lines parts;  // of this computer's clients, and strokes
  for (Lines part : {model_.deadline_lines(style), model_.stroke_lines(style, {})}) {
    if (!part.empty()) parts.emplace_back();
    append(parts, std::move(part));
  }
  Lines events = model_.event_lines(style, {}, now);
  constexpr size_t kTitle = 2;  // a blank line, and the title of the events
  const size_t around = 3;      // the line about the list, the table's head, a line to spare
  const size_t room = rows - std::min(rows, around);
  const size_t for_events =
      kTitle + std::min<size_t>(events.size(), rows >= kRowsForMoreEvents ? 3 : 1);
  const size_t for_parts = std::min(parts.size(), room / 3);
  const size_t for_nodes =
      std::max<size_t>(room - std::min(room, for_parts + for_events), std::min<size_t>(room, 3));

  const Lines table = node_rows(fleet, style, for_nodes);
  std::string about;
  if (typing_ || !filter_.empty()) about = "filter: " + printable(filter_) + (typing_ ? "_" : "");
  if (fleet.nodes.size() != all) about += format(", %zu of %zu nodes", fleet.nodes.size(), all);
  if (shown_ < fleet.nodes.size()) {
    about += format("%snodes %zu to %zu of %zu", about.empty() ? "" : ", ", first_ + 1,
                    first_ + shown_, fleet.nodes.size());
  }
  if (!about.empty() || order_ != Order::state || reversed_) {
    about += (about.empty() ? "" : ", ") + order_words();
  }
  Lines out = {style.paint(Colour::dim, about)};
  append(out, table);
  // The rows that the nodes leave are for the other parts.
  size_t left = rows - std::min(rows, out.size());
  const size_t parts_room = left - std::min(left, for_events);
  if (parts.size() > parts_room) parts.resize(parts_room);
  append(out, std::move(parts));
  left = rows - std::min(rows, out.size());
  if (left < kTitle) return out;
  out.emplace_back();
  out.push_back(style.paint(Colour::bold, "EVENTS"));
  if (events.empty()) events.push_back(style.paint(Colour::dim, "none since this began"));
  append(out, std::move(events));
  return out;
}

TopScreen::Lines TopScreen::node_lines(const Style& style, int64_t now) const {
  const Fleet fleet = model_.fleet_with_poses();
  const auto at = std::find_if(fleet.nodes.begin(), fleet.nodes.end(),
                               [&](const FleetNode& node) { return node.name == selected_; });
  if (at == fleet.nodes.end()) {
    return {selected_ + " is not in the list of nodes any more; Esc goes back"};
  }
  const FleetNode& node = *at;
  Table table;
  table.column("");
  table.column("", Align::left, Table::kWraps);
  const auto line = [&](std::string_view label, std::string text, Colour colour = Colour::none) {
    if (!text.empty()) table.row({{std::string(label), Colour::bold}, {std::move(text), colour}});
  };
  line("node", node.name + (node.name == model_.self() ? ", this computer" : ""));
  const Cell state = state_cell(node, fleet.now);
  line("state", state.text, state.colour);
  line("name conflict",
       node.rival.empty() ? std::string() : "another agent beats as this node: " + node.rival,
       Colour::red);
  line("last beat", node.last_seen ? local_time(*node.last_seen, now) + ", " +
                                         ago(std::max<int64_t>(node.age_ms.value_or(0), 0))
                                   : "never");
  line("robot", node.pose);
  for (const auto& [label, words] : node.details) line(label, words);
  Lines out = table.lines(style);
  if (Lines strokes = model_.stroke_lines(style, node.name); !strokes.empty()) {
    out.emplace_back();
    append(out, std::move(strokes));
  }
  out.emplace_back();
  out.push_back(style.paint(Colour::bold, "EVENTS"));
  Lines events = model_.event_lines(style, node.name, now);
  if (events.empty()) events.push_back(style.paint(Colour::dim, "none since this began"));
  append(out, std::move(events));
  return out;
}

TopScreen::Lines TopScreen::help_lines(const Style& style) const {
  Table table;
  table.column("KEY");
  table.column("WHAT IT DOES", Align::left, Table::kWraps);
  for (const auto& line : kHelp) table.row({{line.key, Colour::bold}, {line.what}});
  return table.lines(style);
}

// The visible part of a page, with a line before it that says which part it is.
TopScreen::Lines TopScreen::scrolled(Lines all, size_t room) {
  const size_t rows = room - std::min<size_t>(room, 1);
  const size_t most = all.size() - std::min(all.size(), rows);
  line_ = std::min(line_, most);
  page_lines_ = rows;
  Lines out = {most == 0 ? std::string()
                         : format("lines %zu to %zu of %zu", line_ + 1,
                                  std::min(line_ + rows, all.size()), all.size())};
  for (size_t i = line_; i < all.size() && i < line_ + rows; ++i) out.push_back(std::move(all[i]));
  return out;
}

std::vector<std::string> TopScreen::lines(const Style& style, size_t rows, int64_t now) {
  Lines out = model_.head(style, now);
  const bool hints = rows >= kRowsForHints;
  const size_t room = rows - std::min<size_t>(rows, out.size() + (hints ? 1 : 0));
  append(out, page_ == Page::cell   ? cell_lines(style, room, now)
              : page_ == Page::node ? scrolled(node_lines(style, now), room)
                                    : scrolled(help_lines(style), room));
  out.resize(std::min(out.size(), rows - (hints ? 1 : 0)));
  if (hints) {
    out.resize(rows - 1);
    out.push_back(style.paint(Colour::dim,
                              page_ == Page::cell
                                  ? "q leave  ? help  s sort  / filter  arrows select  Enter node"
                                  : "q leave  Esc back  arrows scroll"));
  }
  for (std::string& line : out) line = clip_painted(line, style.columns);
  return out;
}

}  // namespace nb::ctl
