package homeserver

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Mounts the two files over the system's, seen by this process and its children only, and becomes the command.
const mountScript = `mount --bind "$1" /etc/hosts && mount --bind "$2" /etc/resolv.conf && shift 2 && exec "$@"`

// spawn starts a command that sees the names, in a process group of its own, and that is killed when this process ends,
// however it ends.
func spawn(command []string, names *Names, configure func(*exec.Cmd)) (*exec.Cmd, error) {
	arguments := append([]string{"-c", mountScript, "sh", names.hosts, names.resolver}, command...)
	cmd := exec.Command("/bin/sh", arguments...)
	configure(cmd)
	cmd.SysProcAttr = privateMounts()
	cmd.SysProcAttr.Setpgid = true
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	return cmd, onLastingThread(cmd.Start)
}

// privateMounts lets a process mount without others seeing it: root in its own mount namespace; anybody else in a user
// namespace of their own too, where the system lets them.
func privateMounts() *syscall.SysProcAttr {
	if os.Geteuid() == 0 {
		return &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	}
	own := func(id int) []syscall.SysProcIDMap {
		return []syscall.SysProcIDMap{{ContainerID: 0, HostID: id, Size: 1}}
	}
	return &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: own(os.Geteuid()),
		GidMappings: own(os.Getegid()),
	}
}

// isGroupStopped says whether every thread of a process group is stopped by a signal, or has ended.
func isGroupStopped(group int) bool {
	files, err := filepath.Glob("/proc/[0-9]*/task/[0-9]*/stat")
	if err != nil {
		panic(err)
	}
	for _, file := range files {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // It has ended.
		}
		// The state, the parent and the group come after the command, which may have anything in it.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) > 2 && fields[2] == strconv.Itoa(group) && !strings.Contains("TtZX", fields[0]) {
			return false
		}
	}
	return true
}

var (
	startThread sync.Once
	threadTasks = make(chan func())
)

// onLastingThread runs a task on a thread that ends only with the process: the system kills a child when the thread that
// made it ends, and Go ends threads as it likes.
func onLastingThread(task func() error) error {
	startThread.Do(func() {
		go func() {
			runtime.LockOSThread()
			for run := range threadTasks {
				run()
			}
		}()
	})
	result := make(chan error)
	threadTasks <- func() { result <- task() }
	return <-result
}
