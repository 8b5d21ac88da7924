#pragma once

#include <chrono>

namespace mynah::silicon {

// When a run of so many seconds is over. Looked at now and then only.
class Deadline {
 public:
    explicit Deadline(double seconds)
        : end_(std::chrono::steady_clock::now() +
               std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                   std::chrono::duration<double>(seconds))) {}
    bool passed() const { return std::chrono::steady_clock::now() > end_; }

 private:
    std::chrono::steady_clock::time_point end_;
};

}  // namespace mynah::silicon
