#pragma once

#include <cstddef>
#include <optional>
#include <span>

namespace mynah {

// How much text a terminal shows.
struct TerminalSize {
    unsigned rows = 0, columns = 0;
};

// Told of bytes that arrived from the host side. Called on the backend's thread.
class CharacterSink {
 public:
    virtual ~CharacterSink() = default;
    // How many bytes can be taken now. The backend keeps the rest back until
    // CharacterBackend::input_wanted() is called.
    virtual size_t input_space() = 0;
    virtual void input(std::span<const std::byte> bytes) = 0;
    // Somebody came to the host side, or the last one left.
    virtual void connected(bool) {}
};

// The host side of a byte stream: terminal, file, socket.
class CharacterBackend {
 public:
    virtual ~CharacterBackend() = default;
    // From any thread; never blocks for long; bytes the host side cannot take are dropped.
    virtual void output(std::span<const std::byte> bytes) = 0;
    // Who receives input from now on; null for nobody. When it returns, the former sink is no
    // longer called.
    virtual void set_sink(CharacterSink* sink) = 0;
    // The sink has space again. Any thread, also from within input().
    virtual void input_wanted() = 0;
    // Whether somebody is at the host side. Any thread.
    virtual bool connected() const { return true; }
    // Of the terminal at the host side; nothing if there is none. Any thread.
    virtual std::optional<TerminalSize> terminal_size() const { return std::nullopt; }
};

}  // namespace mynah
