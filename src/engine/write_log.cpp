#include "engine/write_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace mynah {

WriteLog::Page* WriteLog::find(const std::byte* host) const {
    for (const auto& page : pages_) {
        if (page->host == host) return page.get();
    }
    return nullptr;
}

bool WriteLog::admits(std::byte* host, bool is_store) {
    if (find(host) != nullptr) return true;
    if (!active_ || !is_store) return false;
    auto page = std::make_unique<Page>();
    page->host = host;
    std::memcpy(page->before.data(), host, kPageSize);
    // Whoever stored before undo() did not store here.
    if (undone_) page->after = page->before;
    pages_.push_back(std::move(page));
    return true;
}

void WriteLog::note_entry(const std::byte* host, SoftTlb::Entry& entry, unsigned index) {
    Page* page = find(host);
    if (page == nullptr) return;
    for (const Page::Tagged& tagged : page->tagged) {
        if (tagged.entry == &entry) return;
    }
    page->tagged.push_back({&entry, index});
}

void WriteLog::before_walk() {
    if (!active_) return;
    for (const auto& page : pages_) std::memcpy(page->at_walk.data(), page->host, kPageSize);
}

// What the walk changed is as if it had been there all the time.
void WriteLog::after_walk() {
    if (!active_) return;
    for (const auto& page : pages_) {
        if (std::memcmp(page->at_walk.data(), page->host, kPageSize) == 0) continue;
        for (size_t i = 0; i < kPageSize; ++i) {
            const std::byte change = page->at_walk[i] ^ page->host[i];
            page->before[i] ^= change;
            if (undone_) {
                page->after[i] |= change;
            } else if (change != std::byte{0}) {
                page->walked.push_back({static_cast<unsigned>(i), change});
            }
        }
    }
}

void WriteLog::forget(Page& page) {
    for (const Page::Tagged& tagged : page.tagged) {
        if (tagged.entry->host == reinterpret_cast<uintptr_t>(page.host))
            tagged.entry->write_tag = SoftTlb::no_tag(tagged.index);
    }
}

void WriteLog::begin() {
    size_t too_many = pages_.size() > kKept ? pages_.size() - kKept : 0;
    std::erase_if(pages_, [&](auto& page) {
        const bool drop = too_many > 0 || page->idle > kMostIdle;
        if (too_many > 0) --too_many;
        if (drop) forget(*page);
        return drop;
    });
    for (const auto& page : pages_) {
        std::memcpy(page->before.data(), page->host, kPageSize);
        page->walked.clear();
    }
    active_ = true;
    undone_ = false;
}

void WriteLog::undo() {
    undone_ = true;
    for (const auto& page : pages_) {
        std::memcpy(page->after.data(), page->host, kPageSize);
        ++page->idle;
        if (std::memcmp(page->after.data(), page->before.data(), kPageSize) == 0) continue;
        page->idle = 0;
        // Only what was changed: a device may be writing elsewhere in the page.
        for (size_t i = 0; i < kPageSize; ++i) {
            if (page->after[i] != page->before[i]) page->host[i] = page->before[i];
        }
    }
}

void WriteLog::start_over() {
    for (const auto& page : pages_) {
        for (size_t i = 0; i < kPageSize; ++i) {
            const std::byte before = page->before[i], now = page->host[i];
            const std::byte foreign = page->after[i] == before ? now : page->after[i];
            if (page->after[i] != now) foreign_.push_back({page->host + i, before, foreign});
            if (now != before) page->host[i] = before;
        }
    }
    active_ = false;
}

void WriteLog::give_back() {
    for (const Foreign& each : foreign_) {
        if (*each.at == each.before) *each.at = each.value;
    }
    foreign_.clear();
}

std::string WriteLog::differences() {
    constexpr unsigned kMost = 16;
    // Who ran second stored to an entry and needed no walk any more: the first one's walk holds.
    for (const auto& page : pages_) {
        for (const Page::Walked& walked : page->walked) {
            page->host[walked.offset] |= page->after[walked.offset] & walked.bits;
        }
    }
    std::string out;
    unsigned count = 0;
    for (const auto& page : pages_) {
        if (std::memcmp(page->after.data(), page->host, kPageSize) == 0) continue;
        for (size_t i = 0; i < kPageSize; ++i) {
            if (page->after[i] == page->host[i] || ++count > kMost) continue;
            out += fmt::format("  host address {:x}: before {:02x}, then {:02x} and {:02x}\n",
                               reinterpret_cast<uintptr_t>(page->host + i),
                               unsigned(page->before[i]), unsigned(page->after[i]),
                               unsigned(page->host[i]));
        }
    }
    if (count > kMost) out += fmt::format("  and {} more bytes\n", count - kMost);
    return out;
}

}  // namespace mynah
