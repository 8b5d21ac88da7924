#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace mynah {

// Finds where each JSON object of a stream ends, by brackets and strings alone; whether it is one
// is for a parser to say. Nothing needs to be on a line of its own. What it holds is bounded, and
// so is the depth of what it hands out.
class JsonFramer {
  public:
    static constexpr size_t kSizeMost = 64 * 1024;
    static constexpr unsigned kDepthMost = 32;

    enum class Kind {
        kObject,
        kJunk,     // a line that does not begin as an object
        kTooMuch,  // too long or too deep: where the next one begins cannot be told
    };
    struct Frame {
        Kind kind;
        std::string text;  // of an object
    };

    void add(std::string_view bytes) { pending_ += bytes; }
    // The next whole frame, if there is one. After kTooMuch there are no more.
    std::optional<Frame> next();

  private:
    std::optional<Frame> take_junk();
    std::optional<Frame> take_object();
    Frame give_up();

    std::string pending_;
    size_t seen_ = 0;  // bytes of the object in pending_ that were looked at
    unsigned depth_ = 0;
    bool in_string_ = false, escaped_ = false;
    bool over_ = false;
};

}  // namespace mynah
