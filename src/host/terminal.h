#pragma once

#include <memory>
#include <optional>

namespace mynah {

struct WindowSize {
    unsigned rows, columns;
};

// The terminal on a descriptor in raw mode: every key goes to the guest. While this object lives;
// and its settings are put back in every way a process can end that lets it act: destruction,
// exit(), and the fatal signals (abort, segmentation fault and their kin), which then take their
// course. SIGTSTP puts them back while the process is stopped. One at a time (CHECKed), made on the
// main thread before others are started.
//
// Left out: SIGKILL, for which nothing can be done; `stty sane` helps.
class Terminal {
  public:
    // Null if the descriptor is no terminal, or not this process's to use (background job).
    static std::unique_ptr<Terminal> make_raw(int fd);
    ~Terminal();
    Terminal(const Terminal&) = delete;
    Terminal& operator=(const Terminal&) = delete;

    // Puts the settings back now, if there is a raw terminal, for an end that runs no destructors.
    // Any thread.
    static void restore_now();

    // Nothing if the terminal does not know its size.
    std::optional<WindowSize> window_size() const;

  private:
    explicit Terminal(int fd) : fd_(fd) {}
    int fd_;
};

}  // namespace mynah
