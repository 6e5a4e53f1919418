// A View is one value of a text that scan() or a Guard has accepted: three words, no copy, no
// allocation, and every value as its own bytes, so numbers pass through to the last digit. Over
// another text its answers mean nothing, but it never reads past the text's end.
//
// Where a Guard has made an index, a view walks along that; otherwise it looks for each value's
// end.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/text.h"
#include "json/index.h"

namespace nb::json {

class Elements;
class Members;

// A value within a text that must outlive it. A missing value is a View too: every question to it
// answers "no", so look-ups can be chained without checks between them.
class View {
 public:
  enum class Type : uint8_t { missing, null, boolean, number, string, array, object };

  View() = default;  // missing
  // The one value that `valid_json` is, white space around it allowed.
  static View of(std::string_view valid_json);
  // Likewise, with the token that an index of this text has for it; the index must outlive the
  // view.
  static View of(std::string_view valid_json, const Token& root) {
    return View(valid_json.substr(root.from, root.size), &root);
  }

  Type type() const;
  bool exists() const { return !raw_.empty(); }
  bool is(Type wanted) const { return type() == wanted; }
  // Its exact bytes, without white space around it. Empty if missing.
  std::string_view raw() const { return raw_; }

  std::optional<bool> boolean() const;
  // The nearest double; 0 for a number that is too small.
  std::optional<double> number() const;
  // Only an exact whole number with |n| <= 2^53 - 1, judged by its digits: "1e3" and "1.0" are,
  // 9007199254740992 is not, though a double would hold it.
  std::optional<int64_t> integer() const;
  // The text: a view into the JSON where nothing is escaped, else decoded into `scratch`.
  std::optional<std::string_view> string(std::string& scratch) const;
  // Whether it is this text; never allocates.
  bool string_is(std::string_view text) const;

  // The member of that name; missing if there is none, or if this is no object.
  View operator[](std::string_view name) const;
  // What an object or array holds, in order; nothing for other values:
  //   for (const Member& member : view.members())
  //   for (View element : view.elements())
  Members members() const;
  Elements elements() const;

 private:
  friend class Cursor;
  friend void append_compact(View value, std::string& out);
  friend std::string_view compacted(View value, std::string& scratch);
  explicit View(std::string_view raw, const Token* token = nullptr) : raw_(raw), token_(token) {}

  bool has(uint8_t flag) const { return token_ == nullptr || (token_->flags & flag) != 0; }
  // Its contents have tokens too.
  bool is_indexed() const { return token_ != nullptr && (token_->flags & Token::kClosed) == 0; }

  std::string_view raw_;
  const Token* token_ = nullptr;  // null: not known to an index
};

struct Member {
  std::string_view raw_name;  // as written, between its quotes
  View value;
  bool plain = false;  // known to hold no escape

  bool name_is(std::string_view text) const {  // never allocates
    return plain ? same(raw_name, text) : escaped_name_is(text);
  }
  std::string_view name(std::string& scratch) const;

 private:
  bool escaped_name_is(std::string_view text) const;
};

// Walks along the inside of an array or object, one value or member a step.
class Cursor {
 public:
  // `container` is an array, or if `named` an object; of anything else there is nothing to walk.
  Cursor(const View& container, bool named);

  bool done() const { return done_; }
  void next() {
    if (next_ == nullptr) return search();
    done_ = next_ == end_;
    if (done_) return;
    if (named_) {
      member_.raw_name = {text_ + next_->from, next_->size};
      member_.plain = (next_->flags & Token::kEscaped) == 0;
      ++next_;
    }
    member_.value = View({text_ + next_->from, next_->size}, next_);
    next_ += next_->span;
  }
  const Member& member() const { return member_; }

 private:
  void search();

  const Token* next_ = nullptr;  // null: there are none, `rest_` is searched
  const Token* end_ = nullptr;
  const char* text_ = nullptr;  // that the tokens are of
  std::string_view rest_;
  Member member_;
  bool named_;
  bool done_ = false;
};

struct End {};

class Elements {
 public:
  struct Iterator : Cursor {
    using Cursor::Cursor;
    View operator*() const { return member().value; }
    Iterator& operator++() {
      next();
      return *this;
    }
    bool operator!=(End) const { return !done(); }
  };

  explicit Elements(const View& array) : array_(array) {}
  Iterator begin() const { return Iterator(array_, false); }
  End end() const { return {}; }

 private:
  View array_;
};

class Members {
 public:
  struct Iterator : Cursor {
    using Cursor::Cursor;
    const Member& operator*() const { return member(); }
    Iterator& operator++() {
      next();
      return *this;
    }
    bool operator!=(End) const { return !done(); }
  };

  explicit Members(const View& object) : object_(object) {}
  Iterator begin() const { return Iterator(object_, true); }
  End end() const { return {}; }

 private:
  View object_;
};

// Appends the value without insignificant white space, otherwise byte for byte.
void append_compact(View value, std::string& out);
// The same in place, where there is no such space; else `scratch` holds it.
std::string_view compacted(View value, std::string& scratch);

}  // namespace nb::json
