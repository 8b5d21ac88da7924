#pragma once

#include <string>

#include "base/log.h"
#include "base/mutex.h"
#include "bus/io_handler.h"

namespace mynah {

// The port that firmware writes its messages to, 402h on a PC: it looks for the byte E9h there to
// know that somebody listens. Whole lines go to the log. One port; any thread.
class DebugConsole final : public IoHandler {
  public:
    uint64_t read(uint64_t, unsigned) override;
    void write(uint64_t, unsigned, uint64_t value) override EXCLUDES(mutex_);
    // Nobody listens, so that firmware need not speak.
    explicit DebugConsole(bool listens) : listens_(listens) {}

  private:
    static constexpr size_t kLongestLine = 512;

    const bool listens_;
    Mutex mutex_;
    std::string line_ GUARDED_BY(mutex_);
};

}  // namespace mynah
